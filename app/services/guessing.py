"""Guessing passwords: counted by person and by where it comes from, and stopped for a while."""

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import sign_in_origins, users

# A person mistypes; a program tries on. The wait doubles with each further failure.
MOST_BY_PERSON = 5
MOST_BY_ORIGIN = 20
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(hours=24)

_MOST_DOUBLINGS = 10
_IPV6_HOUSEHOLD = 64
_O = sign_in_origins.c


def origin_of(address: str) -> str:
    """Give what an address is counted under: itself, or the network that one customer has with IPv6."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(known if known.version == 4 else ip_network((known, _IPV6_HOUSEHOLD), strict=False))  # noqa: PLR2004 - IPv4.


def wait_after(failures: int, most: int) -> timedelta | None:
    """Tell how long nobody gets in after so many failures in a row; None where that is not many."""
    if failures < most:
        return None
    doublings = min(failures - most, _MOST_DOUBLINGS)
    return min(FIRST_WAIT * (1 << doublings), LONGEST_WAIT)


def is_locked_out(conn: sa.Connection, origin: str, *, now: datetime) -> bool:
    """Tell whether whoever comes from there has to wait."""
    query = sa.select(_O.locked_until).where(_O.origin == origin, _O.locked_until > now)
    return conn.execute(query).one_or_none() is not None


def note_failure(conn: sa.Connection, origin: str, user_id: int | None, *, now: datetime) -> None:
    """Count a wrong password or code against where it came from, and against whose it would have been."""
    new = insert(sign_in_origins).values(origin=origin, failures=1, last_at=now)
    again = sa.case((_O.last_at < now - FORGOTTEN_AFTER, 1), else_=_O.failures + 1)
    statement = new.on_conflict_do_update(
        index_elements=[_O.origin], set_={"failures": again, "last_at": now}
    ).returning(_O.failures)
    if wait := wait_after(conn.execute(statement).scalar_one(), MOST_BY_ORIGIN):
        conn.execute(sa.update(sign_in_origins).where(_O.origin == origin).values(locked_until=now + wait))
    if user_id is not None:
        _note_of_person(conn, user_id, now)


def note_success(conn: sa.Connection, user_id: int) -> None:
    """Forget a person's failures. Where they came from keeps its own: one may guess at many."""
    conn.execute(sa.update(users).where(users.c.id == user_id).values(failed_logins=0, locked_until=None))


def forget_origins(engine: sa.Engine, *, now: datetime) -> int:
    """Remove what is too long ago to count; gives how many."""
    with unavailable_when_down(), engine.begin() as conn:
        return conn.execute(sa.delete(sign_in_origins).where(_O.last_at < now - FORGOTTEN_AFTER)).rowcount


def _note_of_person(conn: sa.Connection, user_id: int, now: datetime) -> None:
    counted = (
        sa.update(users)
        .where(users.c.id == user_id)
        .values(failed_logins=users.c.failed_logins + 1)
        .returning(users.c.failed_logins)
    )
    if wait := wait_after(conn.execute(counted).scalar_one(), MOST_BY_PERSON):
        conn.execute(sa.update(users).where(users.c.id == user_id).values(locked_until=now + wait))
