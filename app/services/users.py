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
from app.errors import Conflict, Faults, Invalid, NotFound
from app.services import audit
from app.services.audit import Who
from app.services.field_rules import name_faults
from app.services.passwords import check_length
from app.services.sessions import end_all

ADMIN = "admin"


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
    engine: sa.Engine,
    who: Who,
    email: str,
    *,
    role: str,
    password: str,
    name: str = "",
    must_change_password: bool = False,
) -> UserView:
    """Make a user; emails are compared in lower case.

    Raises Invalid for an email, role or password that cannot be, Conflict where the email is taken.
    """
    with unavailable_when_down(), engine.connect() as conn:
        address = _checked(conn, email, role, password, name)
    values = {
        "email": address,
        "name": name,
        "role": role,
        "password_hash": PasswordHasher().hash(password),
        "must_change_password": must_change_password,
    }
    with unavailable_when_down():
        try:
            with engine.begin() as conn:
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


def set_role(engine: sa.Engine, who: Who, user_id: int, role: str, *, why: str, now: datetime) -> UserView:
    """Give a user another role, and sign them out everywhere. Raises NotFound, Invalid, Conflict.

    The last active administrator keeps the role: nobody could give it back.
    """
    with unavailable_when_down(), engine.begin() as conn:
        _require_role(conn, role)
        before = _locked(conn, user_id)
        if role != ADMIN:
            _require_another_admin(conn, before)
        row = _change(conn, user_id, role=role)
        end_all(conn, user_id, now=now)
        changed = {"before": {"role": before.role}, "after": {"role": role}}
        audit.record(conn, who, "user.set_role", f"user {user_id}", **changed, why=why)
    return _view(row)


def set_active(
    engine: sa.Engine, who: Who, user_id: int, *, active: bool, why: str, now: datetime
) -> UserView:
    """Shut a user out, or let them in again; shut out, they are signed out everywhere.

    Raises NotFound, and Conflict for the last active administrator.
    """
    with unavailable_when_down(), engine.begin() as conn:
        before = _locked(conn, user_id)
        if not active:
            _require_another_admin(conn, before)
            end_all(conn, user_id, now=now)
        row = _change(conn, user_id, is_active=active)
        audit.record(conn, who, "user.activate" if active else "user.deactivate", f"user {user_id}", why=why)
    return _view(row)


def unlock(engine: sa.Engine, who: Who, user_id: int, *, why: str) -> UserView:
    """Let somebody try again at once who guessed wrong too often; raises NotFound."""
    with unavailable_when_down(), engine.begin() as conn:
        _locked(conn, user_id)
        row = _change(conn, user_id, failed_logins=0, locked_until=None)
        audit.record(conn, who, "user.unlock", f"user {user_id}", why=why)
    return _view(row)


def sign_out_everywhere(engine: sa.Engine, who: Who, user_id: int, *, why: str, now: datetime) -> int:
    """End all of a user's sessions; gives how many there were."""
    with unavailable_when_down(), engine.begin() as conn:
        ended = end_all(conn, user_id, now=now)
        audit.record(conn, who, "user.sign_out", f"user {user_id}", after={"sessions": ended}, why=why)
    return ended


def user_of(engine: sa.Engine, user_id: int) -> UserView:
    """Give one user; raises NotFound."""
    with unavailable_when_down(), engine.connect() as conn:
        row = conn.execute(sa.select(*_COLUMNS).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no user {user_id}.")
    return _view(row)


def has_users(engine: sa.Engine) -> bool:
    """Tell whether anybody could sign in."""
    with unavailable_when_down(), engine.connect() as conn:
        return conn.execute(sa.select(sa.exists().select_from(users))).scalar_one()


_COLUMNS = [users.c[name] for name in UserView.__slots__]


def _checked(conn: sa.Connection, email: str, role: str, password: str, name: str) -> str:
    """Give the email in the form that is compared; raises Invalid with all faults."""
    faults = Faults()
    address = faults.of(_address, email)
    for fault in name_faults("name", name or None):
        faults.add(fault.field, fault.message)
    faults.of(_require_role, conn, role)
    faults.of(check_length, password)
    faults.end()
    return address or ""


def _address(email: str) -> str:
    try:
        return emails.canonical(email).lower()
    except Invalid as exc:
        raise Invalid.of("email", exc.faults[0].message) from exc


def _locked(conn: sa.Connection, user_id: int) -> sa.Row[Any]:
    """Read a user, with all administrators locked, so that two cannot remove each other at once."""
    admins = sa.select(users.c.id).where(users.c.role == ADMIN).order_by(users.c.id).with_for_update()
    conn.execute(admins).all()
    query: sa.Select[Any] = sa.select(*_COLUMNS).where(users.c.id == user_id).with_for_update()
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no user {user_id}.")
    return row


def _require_another_admin(conn: sa.Connection, user: sa.Row[Any]) -> None:
    if user.role != ADMIN:
        return
    others = sa.exists().where(users.c.role == ADMIN, users.c.is_active, users.c.id != user.id)
    if not conn.execute(sa.select(others)).scalar_one():
        raise Conflict("This is the last administrator; make another one first.")


def _change(conn: sa.Connection, user_id: int, **values: Any) -> sa.Row[Any]:
    statement = sa.update(users).where(users.c.id == user_id).values(values).returning(*_COLUMNS)
    return conn.execute(statement).one()


def _require_role(conn: sa.Connection, role: str) -> None:
    known = list(conn.execute(sa.select(roles.c.name).order_by(roles.c.name)).scalars())
    if role not in known:
        raise Invalid.of("role", f"must be one of {', '.join(known)}")


def _view(row: sa.Row[Any]) -> UserView:
    return UserView(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public way to a row's names.
