"""Telling workers that there is work, after it was committed.

A wake is a hint: it may be lost, doubled or late, and the dispatcher finds what it missed. Actors are
addressed by name, so that whoever accepts a message needs none of the sending code.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import dramatiq
import redis
import structlog
from redis.exceptions import RedisError

from app.db.redis import translated
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority

log = structlog.get_logger(__name__)

EVENTS_QUEUE = "events"
INGEST_QUEUE = "ingest"

# One is running, one follows for what came meanwhile.
MOST_EVENT_WAKES = 2

# How long what came in is gathered before workers are told again. Whoever processes the inbox waits for more
# about as long, so that it would gain nothing from hearing sooner.
LANES_GATHERED_FOR = 0.005  # seconds
INBOX_GATHERED_FOR = 0.02  # seconds

T = TypeVar("T")


class Wake(Protocol):
    """Whoever can be told that there is work."""

    def lane(self, priority: Priority, *, sweep: bool = False) -> None:
        """Tell of due messages in the lane; `sweep` asks to look from the beginning."""

    def accepted(self, priority: Priority, message: int) -> None:
        """Tell of one message that was accepted just now."""

    def claim(self, priority: Priority, claim: UUID) -> None:
        """Tell of a claim that waits for somebody to take it over."""

    def failover(self, priority: Priority, messages: Sequence[int]) -> None:
        """Tell of messages that are to go through their next gateway at once."""

    def batch(self, priority: Priority, batch: int) -> None:
        """Tell of an accepted bulk request that waits to be expanded."""

    def release(self, priority: Priority) -> None:
        """Tell of claims in the lane whose worker was lost."""

    def parked(self) -> None:
        """Tell that parked facts may have found their message."""

    def inbox(self) -> None:
        """Tell of webhooks that wait in the inbox."""

    def topics(self) -> None:
        """Tell of topics whose members a gateway does not know yet."""


class Broker(Protocol):
    """What wakes need of a broker."""

    def enqueue(self, message: "dramatiq.Message[None]") -> object:
        """Put a message into its queue."""

    def waiting(self, queue_name: str) -> int:
        """Count what waits in a queue."""


class Doorbell:
    """Tells the emergency workers of single messages.

    Somebody always listens at it, so it is heard sooner than a queue that is looked into now and then;
    and whoever hears it takes just that message, however many are queued before it.
    """

    _KEY = "doorbell"
    # Whoever accepts while no worker runs shall not fill the memory: the lane is told as well.
    _MOST = 100
    _KEPT = timedelta(seconds=30)

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def ring(self, message: int) -> None:
        """Tell of a message; one that nobody hears in time is found by those who look into the lane."""
        with _hint(), self._client.pipeline(transaction=False) as pipe:
            pipe.rpush(self._KEY, message)
            pipe.ltrim(self._KEY, -self._MOST, -1)
            pipe.expire(self._KEY, self._KEPT)
            pipe.execute()

    def wait(self, longest: timedelta) -> int | None:
        """Give the next message as soon as there is one; raises Unavailable.

        The client's own time-out must be longer than `longest`.
        """
        with translated():
            heard = self._client.blpop([self._KEY], timeout=longest.total_seconds())
        return int(heard[1]) if heard else None


class BrokerWake:
    """Wakes through Dramatiq. Never more waiting wakes for a lane than it has senders."""

    def __init__(self, broker: Broker, lanes: dict[Priority, Lane], doorbell: Doorbell) -> None:
        self._broker = broker
        self._lanes = lanes
        self._doorbell = doorbell

    def accepted(self, priority: Priority, message: int) -> None:
        if priority is Priority.P0:
            self._doorbell.ring(message)
        self.lane(priority)

    def lane(self, priority: Priority, *, sweep: bool = False) -> None:
        lane = self._lanes[priority]
        if self._waiting(lane.queue) < lane.max_threads:
            self._send(lane.queue, "claim_batch", priority.value, int(sweep))

    def claim(self, priority: Priority, claim: UUID) -> None:
        self._send(self._lanes[priority].queue, "send_via_gateway", priority.value, str(claim))

    def failover(self, priority: Priority, messages: Sequence[int]) -> None:
        self._send(self._lanes[priority].queue, "failover", priority.value, list(messages))

    def batch(self, priority: Priority, batch: int) -> None:
        self._send(self._lanes[priority].queue, "enqueue", batch)

    def release(self, priority: Priority) -> None:
        lane = self._lanes[priority]
        if self._waiting(lane.queue) < lane.max_threads:
            self._send(lane.queue, "release_claims", priority.value)

    def parked(self) -> None:
        if self._waiting(EVENTS_QUEUE) < MOST_EVENT_WAKES:
            self._send(EVENTS_QUEUE, "record_parked")

    def inbox(self) -> None:
        if self._waiting(EVENTS_QUEUE) < MOST_EVENT_WAKES:
            self._send(EVENTS_QUEUE, "record_event")

    def topics(self) -> None:
        # A flood of webhooks shall not keep it back, nor the other way round.
        if self._waiting(INGEST_QUEUE) < MOST_EVENT_WAKES:
            self._send(INGEST_QUEUE, "sync_topics")

    def _waiting(self, queue: str) -> int:
        with _hint():
            return self._broker.waiting(queue)
        return 0

    def _send(self, queue: str, actor: str, *args: object) -> None:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=queue, actor_name=actor, args=args, kwargs={}, options={}
        )
        with _hint():
            self._broker.enqueue(message)


class GatheringWake(BrokerWake):
    """Tells of lanes and of the inbox from threads of its own, once for all that came meanwhile.

    For a process that accepts: nobody waits for Redis there, but emergencies, which ring the doorbell.
    Made in the process that uses it, after fork.
    """

    def __init__(self, broker: Broker, lanes: dict[Priority, Lane], doorbell: Doorbell) -> None:
        super().__init__(broker, lanes, doorbell)
        self._due_lanes = _Gathering(super().lane, LANES_GATHERED_FOR)
        self._due_inbox = _Gathering[str](lambda _: BrokerWake.inbox(self), INBOX_GATHERED_FOR)

    def lane(self, priority: Priority, *, sweep: bool = False) -> None:
        if sweep:
            super().lane(priority, sweep=True)
        else:
            self._due_lanes.add(priority)

    def inbox(self) -> None:
        self._due_inbox.add(EVENTS_QUEUE)


class _Gathering(Generic[T]):
    """Tells of each thing that was added, the first time at once, then at most so often.

    However much comes: asking Redis again and again for as long as something came took more of a busy
    process than all that it was there for.
    """

    def __init__(self, tell: Callable[[T], None], rest: float) -> None:
        self._tell = tell
        self._rest = rest
        self._due: set[T] = set()
        self._added = threading.Event()
        self._never = threading.Event()  # a thread's own way to sleep
        threading.Thread(target=self._run, name="wakes", daemon=True).start()

    def add(self, due: T) -> None:
        """Have this told soon; whoever hears the event finds it in the set."""
        self._due.add(due)
        self._added.set()

    def _run(self) -> None:
        while True:
            self._added.wait()
            self._added.clear()
            # What is added from here on sets the event again.
            for _ in range(len(self._due)):
                self._tell(self._due.pop())
            self._never.wait(self._rest)


@contextmanager
def _hint() -> Iterator[None]:
    try:
        yield
    except (RedisError, dramatiq.errors.BrokerConnectionError) as exc:
        # What is committed is safe: the dispatcher finds it as soon as Redis is back.
        log.warning("wake lost", error=type(exc).__name__)


class NoWake:
    """Tells nobody: the dispatcher will find the work."""

    def lane(self, priority: Priority, *, sweep: bool = False) -> None: ...

    def accepted(self, priority: Priority, message: int) -> None: ...

    def claim(self, priority: Priority, claim: UUID) -> None: ...

    def failover(self, priority: Priority, messages: Sequence[int]) -> None: ...

    def batch(self, priority: Priority, batch: int) -> None: ...

    def release(self, priority: Priority) -> None: ...

    def parked(self) -> None: ...

    def inbox(self) -> None: ...

    def topics(self) -> None: ...
