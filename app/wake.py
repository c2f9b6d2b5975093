"""Telling workers that there is work, after it was committed.

A wake is a hint: it may be lost, doubled or late, and the dispatcher finds what it missed. Actors are
addressed by name, so that whoever accepts a message needs none of the sending code.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from redis.exceptions import RedisError

from app.domain.lanes import Lane
from app.domain.vocabulary import Priority

log = structlog.get_logger(__name__)

EVENTS_QUEUE = "events"
INGEST_QUEUE = "ingest"

# One is running, one follows for what came meanwhile.
MOST_EVENT_WAKES = 2

# Idle workers look into their queues less often than this.
GATHERED_FOR = 0.005  # seconds


class Wake(Protocol):
    """Whoever can be told that there is work."""

    def lane(self, priority: Priority, *, sweep: bool = False) -> None:
        """Tell of due messages in the lane; `sweep` asks to look from the beginning."""

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


class BrokerWake:
    """Wakes through Dramatiq. Never more waiting wakes for a lane than it has senders."""

    def __init__(self, broker: RedisBroker, lanes: dict[Priority, Lane]) -> None:
        self._broker = broker
        self._lanes = lanes

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

    def _waiting(self, queue: str) -> int:
        with _hint():
            return int(self._broker.client.llen(f"{self._broker.namespace}:{queue}"))
        return 0

    def _send(self, queue: str, actor: str, *args: object) -> None:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=queue, actor_name=actor, args=args, kwargs={}, options={}
        )
        with _hint():
            self._broker.enqueue(message)


class GatheringWake(BrokerWake):
    """Tells of lanes from a thread of its own, once for all that came meanwhile.

    For a process that accepts: nobody waits for Redis there, but emergencies, whose workers hear at once.
    Made in the process that uses it, after fork.
    """

    def __init__(self, broker: RedisBroker, lanes: dict[Priority, Lane]) -> None:
        super().__init__(broker, lanes)
        self._due: set[Priority] = set()
        self._told = threading.Event()
        threading.Thread(target=self._tell, name="wakes", daemon=True).start()

    def lane(self, priority: Priority, *, sweep: bool = False) -> None:
        if priority is Priority.P0 or sweep:
            super().lane(priority, sweep=sweep)
        else:
            self._due.add(priority)
            self._told.set()

    def _tell(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            while self._due:
                super().lane(self._due.pop())
            time.sleep(GATHERED_FOR)


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

    def claim(self, priority: Priority, claim: UUID) -> None: ...

    def failover(self, priority: Priority, messages: Sequence[int]) -> None: ...

    def batch(self, priority: Priority, batch: int) -> None: ...

    def release(self, priority: Priority) -> None: ...

    def parked(self) -> None: ...

    def inbox(self) -> None: ...
