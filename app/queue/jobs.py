"""Who runs the scheduler's jobs, and which of their slots were taken."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import job_leader, job_runs
from app.queue import PACKAGE

_NAME = "scheduler"


def lead(conn: sa.Connection, holder: str, lease: timedelta) -> tuple[bool, timedelta | None]:
    """Take the lead or renew it; tells whether `holder` leads, and how long nobody had led before it."""
    parameters = {"name": _NAME, "holder": holder, "lease": lease}
    row = run(conn, PACKAGE, "lead", parameters).one_or_none()
    return (False, None) if row is None else (True, row.vacant)


def resign(conn: sa.Connection, holder: str) -> None:
    """End the lease at once, so that a standby need not wait for it."""
    mine = sa.and_(job_leader.c.name == _NAME, job_leader.c.holder == holder)
    conn.execute(sa.update(job_leader).where(mine).values(lease_until=sa.func.now()))


def begin_run(conn: sa.Connection, job: str, slot: datetime, holder: str) -> bool:
    """Take a slot; False where it was taken before, or where `holder` does not lead."""
    parameters = {"name": _NAME, "job": job, "slot": slot, "holder": holder}
    return run(conn, PACKAGE, "begin_run", parameters).one_or_none() is not None


def end_run(conn: sa.Connection, job: str, slot: datetime, result: str) -> None:
    """Write down what a run came to."""
    mine = sa.and_(job_runs.c.job == job, job_runs.c.slot == slot)
    conn.execute(sa.update(job_runs).where(mine).values(finished_at=sa.func.now(), result=result))
