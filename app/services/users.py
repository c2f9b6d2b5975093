"""Users of the console: people with a role and a password, of which only an Argon2 hash is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlalchemy.exc import IntegrityError

from app.db.engine import unavailable_when_down
from app.db.tables import roles, users
from app.domain import emails
from app.errors import Conflict, Invalid
from app.services import audit
from app.services.audit import Who
from app.services.field_rules import name_faults

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class UserView:
    """A user without secrets."""

    id: int
    email: str
    name: str
    role: str
    is_active: bool
    locked_until: datetime | None
    last_login_at: datetime | None
    created_at: datetime


def create_user(
    engine: sa.Engine, who: Who, email: str, *, role: str, password: str, name: str = ""
) -> UserView:
    """Make a user; emails are compared in lower case.

    Raises Invalid for an email, role or password that cannot be, Conflict where the email is taken.
    """
    address = _checked(email, password, name)
    values = {"email": address, "name": name, "role": role, "password_hash": PasswordHasher().hash(password)}
    with unavailable_when_down():
        try:
            with engine.begin() as conn:
                _require_role(conn, role)
                row = conn.execute(sa.insert(users).values(**values).returning(*_COLUMNS)).one()
                after = {"name": name, "role": role}
                audit.record(conn, who, "user.create", f"user {row.id}", after=after)
        except IntegrityError as exc:
            raise Conflict(f"There is a user {address} already.") from exc
    return _view(row)


def list_users(engine: sa.Engine) -> tuple[UserView, ...]:
    """List all users by email."""
    with unavailable_when_down(), engine.connect() as conn:
        rows = conn.execute(sa.select(*_COLUMNS).order_by(users.c.email)).all()
    return tuple(_view(row) for row in rows)


_COLUMNS = [users.c[name] for name in UserView.__slots__]


def _checked(email: str, password: str, name: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Invalid.of("password", f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    faults = list(name_faults("name", name or None))
    if faults:
        raise Invalid(faults)
    try:
        return emails.canonical(email).lower()
    except Invalid as exc:
        raise Invalid.of("email", exc.faults[0].message) from exc


def _require_role(conn: sa.Connection, role: str) -> None:
    known = list(conn.execute(sa.select(roles.c.name).order_by(roles.c.name)).scalars())
    if role not in known:
        raise Invalid.of("role", f"must be one of {', '.join(known)}")


def _view(row: sa.Row[Any]) -> UserView:
    return UserView(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public way to a row's names.
