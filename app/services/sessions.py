"""Sessions of the console: a random token in a cookie, of which only a digest is kept.

A session ends when it was not used for a while, when it has lasted its time, or when somebody revokes it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import user_sessions, users

_TOKEN = 32  # bytes
_LONGEST_AGENT = 300
# Noting each request would be a write for each page; what idle means is counted in hours.
_NOTED_EVERY = timedelta(minutes=1)
_KEPT = timedelta(days=30)
_S = user_sessions.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long a session lasts: since it was last used, and altogether."""

    idle: timedelta
    whole: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A session that holds, and whose it is."""

    session_id: int
    user_id: int
    email: str
    name: str
    role: str
    must_change_password: bool
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionView:
    """One place where somebody is signed in."""

    id: int
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    origin: str | None
    agent: str | None


class Sessions:
    """Opens, finds and ends sessions. Every method raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    def open(self, user_id: int, *, origin: str, agent: str, now: datetime) -> str:
        """Begin a session; gives its token, which cannot be had again."""
        token = secrets.token_urlsafe(_TOKEN)
        values = {
            "user_id": user_id,
            "token_hash": _digest(token),
            "created_at": now,
            "last_seen_at": now,
            "expires_at": now + self._limits.whole,
            "origin": origin,
            "agent": agent[:_LONGEST_AGENT],
        }
        with unavailable_when_down(), self._engine.begin() as conn:
            conn.execute(sa.insert(user_sessions).values(**values))
            conn.execute(sa.update(users).where(users.c.id == user_id).values(last_login_at=now))
        return token

    def find(self, token: str, *, now: datetime, used: bool = True) -> Signed | None:
        """Tell whose session a token is, if it holds. One that is `used` lasts on."""
        query: sa.Select[Any] = (
            sa.select(
                _S.id, _S.last_seen_at, _S.expires_at,
                users.c.id.label("user_id"), users.c.email, users.c.name, users.c.role,
                users.c.must_change_password,
            )
            .join(users, users.c.id == _S.user_id)
            .where(_S.token_hash == _digest(token), users.c.is_active, *self._holds(now))
        )  # fmt: skip
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(query).one_or_none()
            if row is not None and used and now - row.last_seen_at >= _NOTED_EVERY:
                conn.execute(sa.update(user_sessions).where(_S.id == row.id).values(last_seen_at=now))
                conn.commit()
        return None if row is None else _signed(row)

    def end(self, session_id: int, *, now: datetime) -> None:
        """Sign out of one session."""
        with unavailable_when_down(), self._engine.begin() as conn:
            conn.execute(_revoke(_S.id == session_id, now))

    def end_one_of(self, user_id: int, session_id: int, *, now: datetime) -> bool:
        """End one of a person's own sessions; tells whether there was such a one."""
        with unavailable_when_down(), self._engine.begin() as conn:
            found = conn.execute(_revoke(sa.and_(_S.id == session_id, _S.user_id == user_id), now))
        return found.rowcount > 0

    def of(self, user_id: int, *, now: datetime) -> tuple[SessionView, ...]:
        """List where somebody is signed in, the latest first."""
        columns = [_S[name] for name in SessionView.__slots__]
        query = sa.select(*columns).where(_S.user_id == user_id, *self._holds(now)).order_by(_S.id.desc())
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query.limit(100)).all()
        return tuple(SessionView(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's public way.

    def _holds(self, now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
        idle_since = now - self._limits.idle
        return (_S.revoked_at.is_(None), _S.expires_at > now, _S.last_seen_at > idle_since)


def end_all(conn: sa.Connection, user_id: int, *, now: datetime, but: int | None = None) -> int:
    """Sign somebody out everywhere, but for one session, in the transaction of what made that needful."""
    where = _S.user_id == user_id
    if but is not None:
        where = sa.and_(where, _S.id != but)
    return conn.execute(_revoke(where, now)).rowcount


def forget_sessions(engine: sa.Engine, *, now: datetime) -> int:
    """Remove sessions that ended a month ago; gives how many."""
    with unavailable_when_down(), engine.begin() as conn:
        return conn.execute(sa.delete(user_sessions).where(_S.expires_at < now - _KEPT)).rowcount


def _revoke(where: sa.ColumnElement[bool], now: datetime) -> sa.Update:
    return sa.update(user_sessions).where(where, _S.revoked_at.is_(None)).values(revoked_at=now)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _signed(row: sa.Row[Any]) -> Signed:
    return Signed(
        session_id=row.id,
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        role=row.role,
        must_change_password=row.must_change_password,
        expires_at=row.expires_at,
    )
