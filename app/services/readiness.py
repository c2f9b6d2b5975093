"""Whether a process could do its work now: what it needs, looked at one by one."""

from dataclasses import dataclass
from datetime import timedelta

import redis
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.migrate import pending
from app.db.redis import translated
from app.db.tables import message_queue
from app.domain.vocabulary import Priority, Status
from app.errors import Unavailable

_NEXT_PARTITION = sa.text(
    "SELECT to_regclass('delivery_events_' || to_char("
    "date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', '\"y\"YYYY\"m\"MM')) IS NOT NULL"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at. What is not `required` is worth knowing, but stops nothing here."""

    ok: bool
    detail: str
    required: bool = True


def checks(engine: sa.Engine, client: redis.Redis, *, longest_wait: timedelta) -> dict[str, Check]:
    """Look at database, schema, partitions, Redis and how long emergencies wait; never raises Unavailable.

    Without Redis messages are accepted all the same. An emergency that waits longer than `longest_wait`
    is the workers' trouble: were a web process to count as not ready for it, none could be accepted.
    """
    return {**_of_database(engine, longest_wait), "redis": _redis(client)}


def next_month_has_partitions(conn: sa.Connection) -> bool:
    """Tell whether next month's events have a place to go."""
    return bool(conn.execute(_NEXT_PARTITION).scalar_one())


def _of_database(engine: sa.Engine, longest_wait: timedelta) -> dict[str, Check]:
    try:
        with unavailable_when_down(), engine.connect() as conn:
            return {
                "database": Check(ok=True, detail="answers"),
                "migrations": _migrations(conn),
                "event_partitions": _partitions(conn),
                "oldest_p0": _oldest_p0(conn, longest_wait),
            }
    except Unavailable as exc:
        return {"database": Check(ok=False, detail=str(exc))}


def _migrations(conn: sa.Connection) -> Check:
    if pending(conn):
        return Check(ok=False, detail="the schema is not this version's; run `tocsin migrate`")
    return Check(ok=True, detail="at head")


def _partitions(conn: sa.Connection) -> Check:
    if next_month_has_partitions(conn):
        return Check(ok=True, detail="next month's is there")
    return Check(
        ok=False, detail="next month's partition of delivery_events is missing; does the scheduler run?"
    )


def _oldest_p0(conn: sa.Connection, longest_wait: timedelta) -> Check:
    table = message_queue.c
    now = sa.func.now()
    query = sa.select(sa.cast(now - sa.func.min(table.scheduled_for), sa.Interval)).where(
        table.priority == Priority.P0.value,
        table.status == Status.PENDING.value,
        table.scheduled_for <= now,
    )
    age = conn.execute(query).scalar_one()
    if age is None:
        return Check(ok=True, detail="none waits", required=False)
    return Check(ok=age <= longest_wait, detail=f"waits for {age.total_seconds():.0f} s", required=False)


def _redis(client: redis.Redis) -> Check:
    try:
        with translated():
            client.ping()
    except Unavailable as exc:
        return Check(ok=False, detail=str(exc), required=False)
    return Check(ok=True, detail="answers", required=False)
