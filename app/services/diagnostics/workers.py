"""Whether somebody works in each lane, gets on, and runs the version that all others do."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from app.domain.vocabulary import Priority
from app.services.beats import Beat, read_beats
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.clocks import skew_of
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "workers"

# The slowest gateway answers or times out within a fraction of this.
STUCK_AFTER = timedelta(minutes=2)
# A system that was started just now is given this long until all of its processes are there.
STARTING = timedelta(seconds=60)

_finding = partial(Finding, subject=SUBJECT)


def processes(scene: Scene) -> Iterator[Finding]:
    """Look at every process that was heard of within a day."""
    with scene.database() as conn:
        beats = read_beats(conn)
    alive = [beat for beat in beats if beat.alive]
    yield from _lanes(scene, alive)
    yield from _web(beats, alive, scene.now())
    yield from _lost(beats, alive)
    yield from _stuck(alive)
    yield from _versions(alive)
    for beat in alive:
        yield from skew_of(beat.name, beat.skew, subject=SUBJECT)


def _lanes(scene: Scene, alive: Sequence[Beat]) -> Iterator[Finding]:
    if _is_starting(alive, scene.now()):
        return
    served = {lane for beat in alive if beat.kind == "workers" for lane in beat.lanes}
    for priority, lane in scene.settings.lanes.items():
        if lane.name not in served:
            heavy = priority in (Priority.P0, Priority.P1, Priority.P4)
            yield _finding(
                code="lane_without_workers",
                target=priority.value,
                priority=Severity.CRITICAL if heavy else Severity.HIGH,
                meaning=f"No worker of {lane.name} ({priority.value}) is alive: its messages are not sent.",
                advice="Start `tocsin workers`, or see in its log why the process ends.",
            )
    if "events" not in served:
        yield _finding(
            code="no_event_workers",
            priority=Severity.HIGH,
            meaning="Nobody works off what gateways tell: deliveries, bounces and opt-outs wait.",
            advice="Start `tocsin workers`; the process `events` is one of its.",
        )


def _web(beats: Sequence[Beat], alive: Sequence[Beat], now: datetime) -> Iterator[Finding]:
    if not any(beat.kind == "web" for beat in alive) and not _is_starting(alive, now):
        yield _finding(
            code="no_web_process",
            priority=Severity.HIGH,
            meaning="No web process is alive: nothing is accepted, and no webhook is heard.",
            advice="Start `tocsin web`.",
            evidence={"heard_of_today": sum(beat.kind == "web" for beat in beats)},
        )


def _lost(beats: Sequence[Beat], alive: Sequence[Beat]) -> Iterator[Finding]:
    """Tell of processes that fell silent without anybody taking their place on that machine."""
    for beat in beats:
        followed = any(
            (other.host, other.kind, other.lanes) == (beat.host, beat.kind, beat.lanes) for other in alive
        )
        if not beat.alive and not followed:
            yield _finding(
                code="process_lost",
                target=beat.name,
                priority=Severity.MEDIUM,
                meaning=f"{beat.kind} on {beat.host} ({', '.join(beat.lanes) or 'all'}) was not heard of for "
                f"{beat.age.total_seconds():.0f} s.",
                advice="See whether the machine is there and its supervisor starts the process again.",
                automatic="What it had claimed is released when its lease is over, and sent by others.",
                evidence={"pid": beat.pid, "silent_seconds": round(beat.age.total_seconds())},
            )


def _stuck(alive: Sequence[Beat]) -> Iterator[Finding]:
    for beat in alive:
        if beat.still_for is not None and beat.still_for > STUCK_AFTER:
            yield _finding(
                code="process_stuck",
                target=beat.name,
                priority=Severity.HIGH,
                meaning=f"{beat.busy} threads of {beat.kind} on {beat.host} ({', '.join(beat.lanes)}) have "
                "got "
                f"nothing done for {beat.still_for.total_seconds():.0f} s.",
                advice=f"Look what it does (py-spy dump --pid {beat.pid}), then restart it.",
                automatic="Its claims go to others when their leases are over.",
                evidence={"busy": beat.busy, "still_seconds": round(beat.still_for.total_seconds())},
            )


def _versions(alive: Sequence[Beat]) -> Iterator[Finding]:
    versions = sorted({beat.version for beat in alive})
    if len(versions) > 1:
        yield _finding(
            code="versions_differ",
            priority=Severity.MEDIUM,
            meaning=f"Processes of several versions run side by side: {', '.join(versions)}.",
            advice="Finish the roll-out; a release works beside the one before it, not longer.",
            evidence={each: sum(beat.version == each for beat in alive) for each in versions},
        )


def _is_starting(alive: Sequence[Beat], now: datetime) -> bool:
    return bool(alive) and all(now - beat.started_at < STARTING for beat in alive)


CHECKS = (Check(name="workers_processes", subject=SUBJECT, run=processes),)
