"""Who somebody is that wants into the console: password first, then the second factor where there is one."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.db.engine import unavailable_when_down
from app.db.tables import users
from app.errors import Unauthenticated
from app.services import guessing
from app.services.audit import Who, record
from app.services.second_factor import SecondFactor

REFUSED = (
    "That did not work: the email, the password or the code is wrong, or there were too many tries. "
    "After some wrong ones you have to wait, up to an hour."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proven:
    """Somebody who gave the right password. `needs_code` tells that this is only the half of it."""

    user_id: int
    needs_code: bool


class SignIn:
    """Proves people. What is refused is refused in one way, in one time, whatever the reason."""

    def __init__(self, engine: sa.Engine, second_factor: SecondFactor) -> None:
        self._engine = engine
        self._second_factor = second_factor

    def by_password(self, email: str, password: str, *, address: str, now: datetime) -> Proven:
        """Check a password; raises Unauthenticated, Unavailable."""
        origin = guessing.origin_of(address)
        with unavailable_when_down(), self._engine.connect() as conn:
            closed = guessing.is_locked_out(conn, origin, now=now)
            row = conn.execute(_by_email(email)).one_or_none()
        # Nobody may learn from the time it takes whether there is such a person, or a lock: the dearest step
        # is always taken, with no connection held meanwhile.
        fits = _fits(row.password_hash if row is not None else None, password)
        allowed = row is not None and row.is_active and not _is_locked(row.locked_until, now)
        if not (fits and allowed and not closed):
            self._refuse(origin, row.id if row is not None else None, address, now, counted=not closed)
        assert row is not None  # noqa: S101 - Only mypy does not see that it was looked at.
        if row.totp_secret is None:
            self._let_in(row.id)
        return Proven(user_id=row.id, needs_code=row.totp_secret is not None)

    def by_code(self, user_id: int, code: str, *, address: str, now: datetime) -> None:
        """Check a code of the second factor, or a recovery code; raises Unauthenticated, Unavailable."""
        origin = guessing.origin_of(address)
        with unavailable_when_down(), self._engine.connect() as conn:
            closed = guessing.is_locked_out(conn, origin, now=now)
            row = conn.execute(sa.select(users).where(users.c.id == user_id)).one_or_none()
        allowed = row is not None and row.is_active and not _is_locked(row.locked_until, now) and not closed
        if not (allowed and self._second_factor.accepts(user_id, code, now=now)):
            self._refuse(origin, user_id, address, now, counted=not closed)
        self._let_in(user_id)

    def _let_in(self, user_id: int) -> None:
        with unavailable_when_down(), self._engine.begin() as conn:
            guessing.note_success(conn, user_id)

    def _refuse(
        self, origin: str, user_id: int | None, address: str, now: datetime, *, counted: bool
    ) -> None:
        with unavailable_when_down(), self._engine.begin() as conn:
            if counted:
                guessing.note_failure(conn, origin, user_id, now=now)
            if user_id is not None:
                record(conn, Who(actor="somebody", origin=address), "user.refuse", f"user {user_id}")
        raise Unauthenticated(REFUSED)


def _by_email(email: str) -> sa.Select[tuple[object, ...]]:
    columns = (
        users.c.id,
        users.c.password_hash,
        users.c.is_active,
        users.c.locked_until,
        users.c.totp_secret,
    )
    return sa.select(*columns).where(users.c.email == email.strip().lower())


def _fits(password_hash: str | None, password: str) -> bool:
    try:
        fits = PasswordHasher().verify(password_hash or _hash_of_nothing(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return fits and password_hash is not None


@cache
def _hash_of_nothing() -> str:
    return PasswordHasher().hash("nobody has this one")


def _is_locked(until: datetime | None, now: datetime) -> bool:
    return until is not None and until > now
