"""Whether somebody leads, and jobs run in time and well."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.db.tables import job_leader, job_runs
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "scheduler"

# A lease takes five seconds, and a standby is there within one more.
VACANT_FOR = timedelta(seconds=10)
LOOKED_BACK = timedelta(minutes=15)
FAILURES_BACK = timedelta(hours=1)
# A tick or two that wait for a moment are nothing; many do as much harm as one that waits long.
LATE, VERY_LATE = timedelta(seconds=2), timedelta(seconds=5)
OFTEN = 5
ENDLESS = timedelta(minutes=15)

_C = job_runs.c
_finding = partial(Finding, subject=SUBJECT)


def leader(scene: Scene) -> Iterator[Finding]:
    """Look whether a scheduler leads."""
    with scene.database() as conn:
        query = sa.select(sa.func.max(job_leader.c.lease_until), sa.func.clock_timestamp())
        until, now = conn.execute(query).one()
    if until is None or now - until > VACANT_FOR:
        yield _finding(
            code="no_scheduler",
            priority=Severity.CRITICAL,
            meaning="No scheduler leads: retries, expiry, release of lost claims and counts stand still.",
            advice="Start `tocsin scheduler`; a second one on another machine takes over within seconds.",
            evidence={"vacant_seconds": round((now - until).total_seconds()) if until else None},
        )


def ticks(scene: Scene) -> Iterator[Finding]:
    """Look for jobs that began late, failed, or never ended."""
    now = sa.func.clock_timestamp()
    failed = sa.select(_C.job, sa.func.count().label("times")).where(
        _C.started_at > now - FAILURES_BACK, _C.result == "failed"
    )
    endless = sa.select(_C.job, sa.func.min(_C.started_at).label("since")).where(
        _C.finished_at.is_(None), _C.started_at.between(now - timedelta(days=1), now - ENDLESS)
    )
    with scene.database() as conn:
        were_late = conn.execute(_late()).all()
        have_failed = conn.execute(failed.group_by(_C.job)).all()
        run_on = conn.execute(endless.group_by(_C.job)).all()
    if were_late:
        yield _lateness(were_late)
    for row in have_failed:
        yield _finding(
            code="job_failed",
            target=row.job,
            priority=Severity.HIGH,
            meaning=f"The job `{row.job}` failed {row.times} times in {_words(FAILURES_BACK)}.",
            advice="See the scheduler's log for its reason.",
            automatic="The next slot tries again.",
            evidence={"times": row.times},
        )
    for row in run_on:
        yield _finding(
            code="job_endless",
            target=row.job,
            priority=Severity.MEDIUM,
            meaning=f"The job `{row.job}` began at {row.since:%H:%M} UTC and has not ended.",
            advice="Where the scheduler was restarted since, nothing; else see what it waits for.",
            automatic="The next slot runs it again.",
            evidence={"since": row.since.isoformat()},
        )


def _late() -> sa.Select[Any]:
    """Count the late runs of each job, with the worst.

    A tick that comes late takes the slot that is on by then, so that the one it was for has no row: it is
    late against the slot that should have followed the one before. Where another process led before, or
    nobody did, nobody was late. A seldom job's slot is caught up with by whoever newly leads: only
    what ticks often can be late.
    """
    each = sa.select(_C.job, _C.slot, _C.holder, _C.started_at).where(
        _C.slot > sa.func.clock_timestamp() - LOOKED_BACK, _C.job.in_(_frequent())
    )
    run = each.cte("run").c
    before = sa.func.lag(run.slot).over(partition_by=run.job, order_by=run.slot).label("before")
    led = sa.func.lag(run.holder).over(partition_by=run.job, order_by=run.slot).label("led")
    step = sa.select(run.job, run.slot, run.started_at, run.holder, before, led).cte("step").c
    every = sa.func.min(step.slot - step.before).over(partition_by=step.job)
    due = sa.case(
        (step.led == step.holder, sa.func.least(step.slot, step.before + every)), else_=step.started_at
    )
    lateness = sa.select(step.job, (step.started_at - due).label("late")).cte("lateness").c
    worst, times = sa.func.max(lateness.late), sa.func.count()
    return (
        sa.select(lateness.job, times.label("times"), worst.label("worst"))
        .where(lateness.late > LATE)
        .group_by(lateness.job)
        .having(sa.or_(worst > VERY_LATE, times > OFTEN))
    )


def _lateness(rows: Sequence[sa.Row[Any]]) -> Finding:
    """Make one finding of all late jobs: what delays one delays others, and many rows hide other findings."""
    worst = max(rows, key=lambda row: row.worst)
    by_job = {row.job: {"times": row.times, "worst_seconds": round(_seconds(row), 1)} for row in rows}
    return _finding(
        code="job_late",
        priority=Severity.MEDIUM,
        meaning=f"Jobs that began late in the last {_words(LOOKED_BACK)}: {len(rows)}. The worst is "
        f"`{worst.job}`, by {_seconds(worst):.0f} s.",
        advice="Where the scheduler was restarted or another took over, nothing; else give its machine more "
        "processor, or see what its threads wait for.",
        automatic="A tick that was missed is made up for by the next.",
        evidence={"jobs": by_job},
    )


def _seconds(row: sa.Row[Any]) -> float:
    return float(row.worst.total_seconds())


def _frequent() -> sa.Select[tuple[str]]:
    """Select the jobs that ran several times within the time that is looked at."""
    recent = _C.slot > sa.func.clock_timestamp() - LOOKED_BACK
    return sa.select(_C.job).where(recent).group_by(_C.job).having(sa.func.count() > 2)  # noqa: PLR2004 - Several.


def _words(length: timedelta) -> str:
    minutes = length // timedelta(minutes=1)
    return f"{minutes} minutes"


CHECKS = tuple(
    Check(name=f"scheduler_{check.__name__}", subject=SUBJECT, run=check) for check in (leader, ticks)
)
