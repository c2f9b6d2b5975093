"""Runs of the checks: kept, compared with the one before, forgotten after a while."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.db.tables import diagnostic_runs
from app.services.diagnostics.findings import Finding, Severity, in_order, worst

KEPT = timedelta(days=14)

_C = diagnostic_runs.c


class Scope(StrEnum):
    """How far a run looked: only at ourselves, at the world too, or at what somebody chose."""

    QUICK = "quick"
    DEEP = "deep"
    CHOSEN = "chosen"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A finding of a run, and since when it has been there; `is_new` where the run before had it not."""

    finding: Finding
    since: datetime
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run. `gone` is what the run before had found and this one has not.

    `id` is None where it is not kept.
    """

    id: int | None
    scope: Scope
    subjects: tuple[str, ...]
    started_at: datetime
    finished_at: datetime
    worst: Severity | None
    findings: tuple[Known, ...]
    gone: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One run in a line: how many findings there were of each priority."""

    id: int
    scope: Scope
    subjects: tuple[str, ...]
    started_at: datetime
    finished_at: datetime
    worst: Severity | None
    counts: Mapping[str, int]


def compared(
    findings: Sequence[Finding], before: Run | None, *, subjects: Sequence[str], at: datetime
) -> tuple[tuple[Known, ...], tuple[Finding, ...]]:
    """Say which findings are new and since when the others are there; and which of before are gone.

    Of subjects that this run did not look at nothing is gone.
    """
    earlier = {known.finding.key: known.since for known in before.findings} if before else {}
    known = tuple(
        Known(finding=each, since=earlier.get(each.key, at), is_new=each.key not in earlier)
        for each in in_order(findings)
    )
    now = {each.key for each in findings}
    looked_at = set(subjects)
    gone = [
        known.finding
        for known in (before.findings if before else ())
        if known.finding.key not in now and known.finding.subject in looked_at
    ]
    return known, tuple(gone)


def keep(conn: sa.Connection, run: Run) -> Run:
    """Write a run down; gives it with its id."""
    findings = [_spelled(known) for known in run.findings]
    gone = [{**_plain(finding), "gone": True} for finding in run.gone]
    statement = (
        sa.insert(diagnostic_runs)
        .values(
            scope=run.scope.value,
            subjects=list(run.subjects),
            started_at=run.started_at,
            finished_at=run.finished_at,
            worst=run.worst.value if run.worst else None,
            findings=[*findings, *gone],
        )
        .returning(_C.id)
    )
    return replace(run, id=conn.execute(statement).scalar_one())


def latest(conn: sa.Connection, *scopes: Scope) -> Run | None:
    """Give the newest kept run of these scopes."""
    query = sa.select(diagnostic_runs).where(_C.scope.in_([scope.value for scope in scopes]))
    row = conn.execute(query.order_by(_C.id.desc()).limit(1)).one_or_none()
    return _run(row) if row else None


def one(conn: sa.Connection, run_id: int) -> Run | None:
    """Give a kept run."""
    row = conn.execute(sa.select(diagnostic_runs).where(_C.id == run_id)).one_or_none()
    return _run(row) if row else None


def summaries(conn: sa.Connection, *, before: int | None, limit: int) -> list[Summary]:
    """List kept runs, newest first, from before a given one."""
    query = sa.select(diagnostic_runs).order_by(_C.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_C.id < before)
    return [_summary(_run(row)) for row in conn.execute(query)]


def forget(conn: sa.Connection) -> int:
    """Remove runs that are old; gives how many."""
    statement = sa.delete(diagnostic_runs).where(_C.started_at < sa.func.now() - KEPT)
    return conn.execute(statement).rowcount


def _summary(run: Run) -> Summary:
    priorities = [known.finding.priority for known in run.findings]
    return Summary(
        id=run.id or 0,
        scope=run.scope,
        subjects=run.subjects,
        started_at=run.started_at,
        finished_at=run.finished_at,
        worst=run.worst,
        counts={each.value: priorities.count(each) for each in Severity},
    )


def _run(row: sa.Row[Any]) -> Run:
    told = [(_read(each), each) for each in row.findings]
    known = [
        Known(finding=finding, since=datetime.fromisoformat(each["since"]), is_new=each["is_new"])
        for finding, each in told
        if not each.get("gone")
    ]
    return Run(
        id=row.id,
        scope=Scope(row.scope),
        subjects=tuple(row.subjects),
        started_at=row.started_at,
        finished_at=row.finished_at,
        worst=worst(each.finding for each in known),
        findings=tuple(known),
        gone=tuple(finding for finding, each in told if each.get("gone")),
    )


def _spelled(known: Known) -> dict[str, Any]:
    return {**_plain(known.finding), "since": known.since.isoformat(), "is_new": known.is_new}


def _plain(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "priority": finding.priority.value}


def _read(told: Mapping[str, Any]) -> Finding:
    names = ("code", "subject", "target", "meaning", "advice", "automatic", "evidence")
    return Finding(priority=Severity(told["priority"]), **{name: told[name] for name in names})
