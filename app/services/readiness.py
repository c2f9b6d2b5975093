"""Whether a process could do its work now: what it needs, looked at one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import redis
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.migrate import pending
from app.db.redis import translated
from app.db.tables import claims, job_runs, message_queue, webhook_inbox
from app.domain.lanes import Lane
from app.domain.vocabulary import ClaimState, Priority, Status
from app.errors import Unavailable

# An emergency is claimed within milliseconds; who is slow by this much does not get on.
CLAIMED_WITHIN = timedelta(seconds=30)
WORKED_OFF_WITHIN = timedelta(minutes=1)
TICKS_WITHIN = timedelta(seconds=15)
_EVERY_SECOND = "dispatch urgent"

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


def progress(engine: sa.Engine, lanes: Mapping[Priority, Lane]) -> dict[str, Check]:
    """Look whether what was accepted gets on: emergencies, what gateways tell, the jobs.

    It is about age and progress, not about which processes are there. Never raises Unavailable.
    """
    try:
        with unavailable_when_down(), engine.connect() as conn:
            return {
                "database": Check(ok=True, detail="answers"),
                "emergencies": _emergencies(conn, lanes[Priority.P0].max_age),
                "inbox": _inbox(conn),
                "scheduler": _scheduler(conn),
            }
    except Unavailable as exc:
        return {"database": Check(ok=False, detail=str(exc))}


def _emergencies(conn: sa.Connection, limit: timedelta) -> Check:
    age = _age_of_p0(conn)
    if age is None:
        return Check(ok=True, detail="none waits")
    waits = f"the oldest due one waits for {age.total_seconds():.0f} s"
    if age > limit:
        return Check(ok=False, detail=f"{waits}, longer than its limit")
    if age > CLAIMED_WITHIN and not _is_claiming(conn):
        return Check(ok=False, detail=f"{waits}, and no worker has any in its hands")
    return Check(ok=True, detail=waits)


def _is_claiming(conn: sa.Connection) -> bool:
    table = claims.c
    at_work = (table.priority == Priority.P0.value) & (table.state != ClaimState.CLOSED.value)
    query = sa.select(sa.exists().where(at_work, table.lease_until > sa.func.now()))
    return bool(conn.scalar(query))


def _inbox(conn: sa.Connection) -> Check:
    table = webhook_inbox.c
    oldest = sa.select(table.received_at).where(table.processed_at.is_(None)).order_by(table.id).limit(1)
    waited = sa.cast(sa.func.now() - oldest.scalar_subquery(), sa.Interval)
    age = conn.scalar(sa.select(waited))
    if age is None:
        return Check(ok=True, detail="nothing waits")
    detail = f"the oldest webhook waits for {age.total_seconds():.0f} s"
    return Check(ok=age <= WORKED_OFF_WITHIN, detail=detail)


def _scheduler(conn: sa.Connection) -> Check:
    """Look at what a leader does every second, not at whether there is one."""
    ticked = sa.cast(sa.func.now() - sa.func.max(job_runs.c.started_at), sa.Interval)
    age = conn.scalar(sa.select(ticked).where(job_runs.c.job == _EVERY_SECOND))
    if age is None:
        return Check(ok=False, detail="no job has ever run")
    return Check(ok=age <= TICKS_WITHIN, detail=f"ticked {age.total_seconds():.0f} s ago")


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
    age = _age_of_p0(conn)
    if age is None:
        return Check(ok=True, detail="none waits", required=False)
    return Check(ok=age <= longest_wait, detail=f"waits for {age.total_seconds():.0f} s", required=False)


def _age_of_p0(conn: sa.Connection) -> timedelta | None:
    table = message_queue.c
    now = sa.func.now()
    query = sa.select(sa.cast(now - sa.func.min(table.scheduled_for), sa.Interval)).where(
        table.priority == Priority.P0.value,
        table.status == Status.PENDING.value,
        table.scheduled_for <= now,
    )
    age: timedelta | None = conn.execute(query).scalar_one()
    return age


def _redis(client: redis.Redis) -> Check:
    try:
        with translated():
            client.ping()
    except Unavailable as exc:
        return Check(ok=False, detail=str(exc), required=False)
    return Check(ok=True, detail="answers", required=False)
