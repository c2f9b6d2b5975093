"""Changing passwords: one's own, and another's who forgot it. Either ends sessions that are open."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.db.engine import unavailable_when_down
from app.db.tables import users
from app.errors import Faults, Invalid, NotFound
from app.services.audit import Who, record
from app.services.sessions import end_all

SHORTEST = 12
LONGEST = 1000

_GENERATED = 18  # bytes
_U = users.c


def check_length(password: str) -> None:
    """Raise Invalid for a password that is too short to resist, or too long to be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid.of("password", f"must have {SHORTEST} to {LONGEST} characters")


def generated() -> str:
    """Make a password up."""
    return secrets.token_urlsafe(_GENERATED)


def change_own(
    engine: sa.Engine, who: Who, user_id: int, *, current: str, new: str, session_id: int, now: datetime
) -> None:
    """Change one's own password; signs out everywhere else. Raises Invalid, Unavailable."""
    check_own(engine, user_id, current=current, new=new)
    values = {"password_hash": PasswordHasher().hash(new), "must_change_password": False}
    with unavailable_when_down(), engine.begin() as conn:
        conn.execute(sa.update(users).where(_U.id == user_id).values(values))
        end_all(conn, user_id, now=now, but=session_id)
        record(conn, who, "user.change_password", f"user {user_id}")


def check_own(engine: sa.Engine, user_id: int, *, current: str, new: str) -> None:
    """Raise Invalid with all that keeps somebody from having a new password."""
    faults = Faults()
    faults.of(check_length, new)
    if new == current:
        faults.add("password", "must differ from the one before")
    with unavailable_when_down(), engine.connect() as conn:
        known = conn.execute(sa.select(_U.password_hash).where(_U.id == user_id)).scalar()
    if not _fits(known, current):
        faults.add("current", "is not your password")
    faults.end()


def reset(engine: sa.Engine, who: Who, user_id: int, *, why: str, now: datetime) -> str:
    """Give somebody a made-up password that must be changed at once; signs them out everywhere.

    Raises NotFound, Unavailable.
    """
    password = generated()
    values = {
        "password_hash": PasswordHasher().hash(password),
        "must_change_password": True,
        "failed_logins": 0,
        "locked_until": None,
    }
    with unavailable_when_down(), engine.begin() as conn:
        if not conn.execute(sa.update(users).where(_U.id == user_id).values(values)).rowcount:
            raise NotFound(f"There is no user {user_id}.")
        end_all(conn, user_id, now=now)
        record(conn, who, "user.reset_password", f"user {user_id}", why=why)
    return password


def _fits(password_hash: str | None, password: str) -> bool:
    if password_hash is None:
        return False
    try:
        return PasswordHasher().verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
