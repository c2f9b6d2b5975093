"""Which workers there are: a crew for each lane, and one for what comes in."""

from dataclasses import dataclass

from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.settings import Settings
from app.wake import EVENTS_QUEUE, INGEST_QUEUE

# Bulk gives way to everything else on the machine, and everything to emergencies, where we may say so.
BULK_NICENESS = 10
EMERGENCY_NICENESS = -10
# libcurl's select() sees no descriptor from 1024 on, and without it a thread has to look again and again.
# Beside its requests a thread has connections to PostgreSQL and Redis; a process has files of its own.
_VISIBLE = 1000
_OF_A_THREAD = 4
_OF_A_PROCESS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of one lane, or those of no lane, in one process or several.

    With a `lane` their number follows its load; without one there are always `threads`. No process has
    more than `most` of them. They share `connections` to gateways.
    """

    name: str
    queues: frozenset[str]
    threads: int
    most: int
    lane: Lane | None = None
    connections: int
    niceness: int = 0
    emergency: bool = False

    def share(self, threads: int) -> int:
        """Say how many requests each of so many threads may have in flight."""
        return max(1, self.connections // max(1, threads))

    @property
    def places(self) -> int:
        """Say how many processes there can be at most."""
        return self.lane.max_threads if self.lane else 1


def crews(settings: Settings) -> list[Crew]:
    """Say which crews there are, emergencies first. Theirs has always the same size."""
    incoming = Crew(
        name="events",
        queues=frozenset({EVENTS_QUEUE, INGEST_QUEUE}),
        threads=2,
        most=2,
        niceness=BULK_NICENESS,
        connections=settings.gateway_connections,
    )
    return [*(_crew(settings, lane) for lane in settings.lanes.values()), incoming]


def _crew(settings: Settings, lane: Lane) -> Crew:
    emergency = lane.priority is Priority.P0
    most = max(1, (_VISIBLE - _OF_A_PROCESS) // (settings.gateway_concurrency + _OF_A_THREAD))
    return Crew(
        name=lane.name,
        queues=frozenset({lane.queue}),
        threads=lane.min_threads,
        most=lane.min_threads if emergency else min(most, max(lane.min_threads, lane.max_threads)),
        lane=None if emergency else lane,
        connections=settings.gateway_connections,
        niceness=_niceness(lane),
        emergency=emergency,
    )


def _niceness(lane: Lane) -> int:
    if lane.priority is Priority.P0:
        return EMERGENCY_NICENESS
    return BULK_NICENESS if lane.held_back else 0
