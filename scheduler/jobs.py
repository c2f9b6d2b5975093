"""The jobs: what is done how often. Each starts an actor or runs a short statement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby

from app.domain.lanes import Lane
from app.domain.reputation import Bounds
from app.domain.vocabulary import Priority
from app.services.beats import forget_the_gone
from app.services.bulk_upkeep import discard_abandoned_uploads, fold_batch_deltas
from app.services.deliveries import count_deliveries, forget_deliveries
from app.services.diagnostics.names import Dns
from app.services.diagnostics.service import DiagnosticsService
from app.services.guessing import forget_origins
from app.services.sending.gate import note_holds
from app.services.sending.tools import Tools
from app.services.sessions import forget_sessions
from app.services.throughput import forget_throughput
from app.services.upkeep import incoming
from app.services.upkeep.advancing import advance_sequences, forget_sequences
from app.services.upkeep.breakers import restore_breakers
from app.services.upkeep.bulk import Stalls
from app.services.upkeep.canaries import fly_canaries
from app.services.upkeep.cleaning import clean_up, drop_parked, forget_runs
from app.services.upkeep.controlling import go_on_clearing
from app.services.upkeep.counting import restore_counts, save_counts
from app.services.upkeep.dispatching import ORDER, dispatch, dispatch_urgent, dispatch_waiting
from app.services.upkeep.expiring import Expiry
from app.services.upkeep.gateways import forget_health, shift_weights, write_health
from app.services.upkeep.holding import review_held
from app.services.upkeep.inquiring import ask_gateways
from app.services.upkeep.isps import IspLookups
from app.services.upkeep.leases import wake_releases
from app.services.upkeep.missed import suppress_missed
from app.services.upkeep.partitions import drop_old_events, ensure_partitions
from app.services.upkeep.probing import probe_gateways
from app.services.upkeep.recalling import Recall
from app.services.upkeep.replays import advance_replays
from app.services.upkeep.reputation import forget_reputation, watch_reputation
from app.services.upkeep.spending import fold_spending
from app.settings import Settings

# Slots are counted from here, so that every scheduler cuts time in the same places.
ORIGIN = datetime(2020, 1, 1, tzinfo=UTC)

# Runs of jobs that are more frequent than this are nobody's history.
SELDOM = timedelta(minutes=30)

# Of those by which the system looks at itself, too.
WATCHING = ("diagnose", "count deliveries")

_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Something to do once in each slot of length `every`; slots begin at `offset` past ORIGIN.

    `run` gives what it came to, in a word or a number, and nothing where it did nothing. `urgent` jobs have
    threads of their own.
    """

    name: str
    every: timedelta
    run: Callable[[Tools], object]
    offset: timedelta = timedelta(0)
    urgent: bool = False

    def slot(self, now: datetime) -> datetime:
        """Give the beginning of the slot that `now` is in."""
        begin = ORIGIN + self.offset
        return begin + (now - begin) // self.every * self.every


def jobs_of(settings: Settings) -> tuple[Job, ...]:
    """List every job. What they remember from run to run is new in each list."""
    jobs = (*_sending_jobs(settings), *_recording_jobs(), *_keeping_jobs(settings), *_asking_jobs(settings))
    frequent = (*(job.name for job in jobs if job.every < SELDOM), *WATCHING)
    forget = Job(name="forget runs", every=10 * _MINUTE, run=partial(forget_runs, frequent=frequent))
    return (*jobs, forget)


def _sending_jobs(settings: Settings) -> list[Job]:
    advance = partial(advance_sequences, settings=settings)
    return [
        Job(name="dispatch urgent", every=_SECOND, run=dispatch_urgent, urgent=True),
        Job(name="advance sequences", every=_SECOND, run=advance, urgent=True),
        *_release_jobs(settings.lanes),
        Job(name="dispatch waiting", every=_SECOND, run=dispatch_waiting),
        Job(name="dispatch", every=10 * _SECOND, run=dispatch),
        Job(name="note holds", every=10 * _SECOND, run=note_holds),
        Job(name="expire", every=10 * _SECOND, run=Expiry().sweep),
        Job(name="advance replays", every=5 * _SECOND, run=advance_replays),
        Job(name="go on clearing", every=_SECOND, run=go_on_clearing),
        Job(name="call back", every=_SECOND, run=Recall().run),
        Job(name="restore breakers", every=_MINUTE, run=restore_breakers),
        Job(name="restore limits", every=10 * _SECOND, run=restore_counts),
        Job(name="gateway weights", every=10 * _SECOND, run=shift_weights),
        Job(name="gateway health", every=_MINUTE, run=write_health),
        Job(name="gateway probes", every=5 * _MINUTE, run=probe_gateways),
    ]


def _release_jobs(lanes: Mapping[Priority, Lane]) -> list[Job]:
    """Make one job for all lanes whose lapsed claims are looked for equally often."""
    by_pace = sorted((lanes[priority] for priority in ORDER), key=lambda lane: lane.released_every)
    return [
        Job(
            name=f"release every {every.total_seconds():g} s",
            every=every,
            run=partial(wake_releases, priorities=[lane.priority for lane in group]),
            urgent=every <= _SECOND,
        )
        for every, group in groupby(by_pace, key=lambda lane: lane.released_every)
    ]


def _recording_jobs() -> list[Job]:
    return [
        Job(name="fold batch counts", every=_SECOND, run=_fold_counts),
        Job(name="fold spending", every=10 * _SECOND, run=fold_spending),
        Job(name="wake batches", every=5 * _SECOND, run=Stalls().wake),
        Job(name="wake inbox", every=5 * _SECOND, run=incoming.wake_inbox),
        Job(name="wake parked", every=10 * _SECOND, run=incoming.wake_parked),
        Job(name="wake topics", every=_MINUTE, run=incoming.wake_topics),
        Job(name="missed suppressions", every=15 * _MINUTE, run=suppress_missed),
    ]


def _asking_jobs(settings: Settings) -> list[Job]:
    if not settings.isp_lookups_enabled:
        return []
    return [Job(name="look up mail servers", every=_MINUTE, run=IspLookups(Dns()).run)]


def _keeping_jobs(settings: Settings) -> list[Job]:
    held = partial(review_held, held_for=timedelta(hours=settings.held_hours), then=settings.held_then)
    clean = partial(clean_up, retention=timedelta(days=settings.retention_days))
    drop = partial(
        drop_old_events,
        kept=timedelta(days=settings.event_retention_days),
        owner_url=settings.migration_database_url,
    )
    forget = partial(forget_sequences, retention=timedelta(days=settings.retention_days))
    return [
        Job(name="ask gateways", every=30 * _SECOND, run=ask_gateways),
        Job(name="review held", every=_MINUTE, run=held),
        Job(name="abandoned uploads", every=_MINUTE, run=_discard_uploads),
        Job(name="rate counters", every=5 * _MINUTE, run=save_counts),
        Job(name="drop parked", every=60 * _MINUTE, run=drop_parked),
        Job(name="canaries", every=_MINUTE, run=fly_canaries),
        Job(name="reputation", every=_MINUTE, run=partial(watch_reputation, bounds=_bounds(settings))),
        Job(name="forget reputation", every=_DAY, offset=timedelta(hours=4), run=forget_reputation),
        Job(name="forget health", every=_DAY, offset=timedelta(hours=4), run=forget_health),
        Job(name="event partitions", every=_DAY, run=ensure_partitions),
        Job(name="old events", every=_DAY, offset=timedelta(hours=5), run=drop),
        Job(name="forget sequences", every=_DAY, offset=timedelta(hours=4), run=forget),
        Job(name="clean up", every=_DAY, offset=timedelta(hours=4), run=clean),
    ]


def watching_jobs(diagnostics: DiagnosticsService) -> tuple[Job, ...]:
    """List the jobs by which the system looks at itself."""

    def look(_tools: Tools, *, deep: bool) -> str:
        run = diagnostics.run(deep=deep)
        return f"{len(run.findings)} findings, worst {run.worst}" if run.findings else "nothing found"

    return (
        Job(name="diagnose", every=10 * _MINUTE, offset=2 * _MINUTE, run=partial(look, deep=False)),
        Job(name="diagnose outside", every=60 * _MINUTE, offset=7 * _MINUTE, run=partial(look, deep=True)),
        Job(name="forget diagnostics", every=_DAY, run=lambda _: diagnostics.forget()),
        Job(name="count deliveries", every=_MINUTE, run=count_deliveries),
        Job(name="forget throughput", every=60 * _MINUTE, run=forget_throughput),
        Job(name="forget sessions", every=60 * _MINUTE, run=_forget_sign_ins),
        Job(name="forget deliveries", every=_DAY, run=forget_deliveries),
        Job(name="forget processes", every=60 * _MINUTE, run=_forget_processes),
    )


def _forget_processes(tools: Tools) -> int:
    with tools.once.connect() as conn:
        return forget_the_gone(conn)


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        bounced=settings.reputation_bounce_percent / 100,
        complained=settings.reputation_complaint_percent / 100,
        least_volume=settings.reputation_least_volume,
    )


def _fold_counts(tools: Tools) -> int:
    return fold_batch_deltas(tools.engine)


def _forget_sign_ins(tools: Tools) -> int:
    now = datetime.now(UTC)
    return forget_sessions(tools.engine, now=now) + forget_origins(tools.engine, now=now)


def _discard_uploads(tools: Tools) -> int:
    return discard_abandoned_uploads(tools.engine)
