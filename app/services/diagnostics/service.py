"""The diagnostics that API, command line, jobs and console share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.errors import NotFound, Unavailable
from app.services import paging
from app.services.diagnostics import runs
from app.services.diagnostics.checking import Scene, run_checks
from app.services.diagnostics.findings import Finding, Severity, worst
from app.services.diagnostics.runs import Known, Run, Scope, Summary
from app.services.diagnostics.subjects import PROMPT, SUBJECTS, chosen
from app.services.views import Page

log = structlog.get_logger(__name__)

MOST = 100
# What the job finds every ten minutes is shown for that long, and while it is being found anew.
FRESH = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is wrong now, worst first.

    `as_of` is None where nobody has looked at everything yet; it is `outdated` after a while. `looked` is
    when what changes soon was looked at again.
    """

    findings: tuple[Known, ...]
    worst: Severity | None
    as_of: datetime | None
    outdated: bool
    looked: datetime | None = None


class DiagnosticsService:
    """Looks, keeps what it saw, and tells; raises Unavailable only where what was kept is asked for."""

    def __init__(self, engine: sa.Engine, scene: Scene) -> None:
        self._engine = engine
        self._scene = scene

    def run(self, *, subjects: Sequence[str] = (), deep: bool = False, kept: bool = True) -> Run:
        """Look now: at everything, or at some subjects. Raises Invalid for a subject that there is not.

        Without `deep` the world outside is not asked. A run that cannot be kept, since the database is
        away, is given all the same.
        """
        checks = chosen(tuple(subjects), deep=deep)
        scope = Scope.CHOSEN if subjects else Scope.DEEP if deep else Scope.QUICK
        began = self._scene.now()
        findings = run_checks(self._scene, checks)
        looked_at = tuple(subject for subject in SUBJECTS if any(c.subject == subject for c in checks))
        run = Run(
            id=None,
            scope=scope,
            subjects=looked_at,
            started_at=began,
            finished_at=self._scene.now(),
            worst=worst(findings),
            findings=(),
        )
        try:
            return self._compared(run, findings, kept=kept)
        except Unavailable as exc:
            log.warning("diagnostics are not kept", error=str(exc))
            known, _ = runs.compared(findings, None, subjects=looked_at, at=began)
            return replace(run, findings=known)

    def latest(self) -> Run | None:
        """Give the newest run over all subjects, quick or deep."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return runs.latest(conn, Scope.QUICK, Scope.DEEP)

    def get(self, run_id: int) -> Run:
        """Give a kept run; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            found = runs.one(conn, run_id)
        if found is None:
            raise NotFound("there is no such run")
        return found

    def history(self, *, cursor: str | None = None, limit: int = 50) -> Page[Summary]:
        """List kept runs, newest first, a hundred at most; raises Invalid."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = runs.summaries(conn, before=before[0] if before else None, limit=limit + 1)
        following = paging.cursor(rows[limit - 1].id) if len(rows) > limit else None
        return Page(items=tuple(rows[:limit]), next=following)

    def look(self) -> Run:
        """Look now at what changes soon: workers, scheduler, queues and gateways. It is not kept."""
        return self.run(subjects=PROMPT, kept=False)

    def standing(self, *, least: Severity = Severity.LOW, looked: Run | None = None) -> Standing:
        """Say what is wrong now and what to do, out of the newest quick and deep runs; it looks at nothing.

        Of what a deep run found outside, only the subjects that quick runs leave out are taken; of `looked`,
        a newer look at some subjects, all.
        """
        with unavailable_when_down(), self._engine.connect() as conn:
            quick = runs.latest(conn, Scope.QUICK, Scope.DEEP)
            deep = runs.latest(conn, Scope.DEEP)
        known = _of_each_subject(run for run in (looked, quick, deep) if run is not None)
        shown = [each for each in known if each.finding.priority.rank <= least.rank]
        shown.sort(key=lambda known: known.finding.priority.rank)
        now = self._scene.now()
        return Standing(
            findings=tuple(shown),
            worst=worst(known.finding for known in shown),
            as_of=quick.finished_at if quick else None,
            outdated=quick is None or now - quick.finished_at > FRESH,
            looked=looked.finished_at if looked else None,
        )

    def forget(self) -> int:
        """Remove runs that are old; gives how many."""
        with unavailable_when_down(), self._engine.begin() as conn:
            return runs.forget(conn)

    def _compared(self, run: Run, findings: Sequence[Finding], *, kept: bool) -> Run:
        with unavailable_when_down(), self._engine.begin() as conn:
            # A deep run is compared with a deep one: the quick ones between have not looked as far.
            before = runs.latest(
                conn, *([run.scope] if run.scope is Scope.DEEP else [Scope.QUICK, Scope.DEEP])
            )
            known, gone = runs.compared(findings, before, subjects=run.subjects, at=run.started_at)
            run = replace(run, findings=known, gone=gone)
            return runs.keep(conn, run) if kept else run


def _of_each_subject(newest_first: Iterable[Run]) -> Iterator[Known]:
    """Give of each subject what the newest run found that has looked at it."""
    seen: set[str] = set()
    for run in newest_first:
        yield from (known for known in run.findings if known.finding.subject not in seen)
        seen.update(run.subjects)
