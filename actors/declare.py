"""Telling a broker which actors there are, and which queues."""

from collections.abc import Callable
from functools import partial

import dramatiq
import structlog

from actors.claim_batch import claim_batch
from actors.enqueue import enqueue
from actors.failover import failover
from actors.record_event import record_event
from actors.record_parked import record_parked
from actors.release_claims import release_claims
from actors.send_via_gateway import send_via_gateway
from actors.sync_topics import sync_topics
from app.errors import Unavailable
from app.services.sending.tools import Tools
from app.wake import EVENTS_QUEUE, INGEST_QUEUE

log = structlog.get_logger(__name__)

# Within a lane, what is cut off or half done goes before what is new. Smaller numbers go first.
ACTORS: dict[Callable[..., None], int] = {
    failover: 0,
    release_claims: 1,
    send_via_gateway: 2,
    claim_batch: 3,
    enqueue: 4,
    record_event: 3,
    record_parked: 5,
    sync_topics: 6,
}


def declare(broker: dramatiq.Broker, tools: Tools) -> None:
    """Declare every actor and every queue.

    A message names its queue itself: the same actors serve all lanes. Nothing is ever retried by the
    broker.
    """
    for lane in tools.lanes.values():
        broker.declare_queue(lane.queue)
    for queue in (EVENTS_QUEUE, INGEST_QUEUE):
        broker.declare_queue(queue)
    for function, priority in ACTORS.items():
        dramatiq.Actor(
            partial(_in_one_line, function, tools),
            broker=broker,
            actor_name=function.__name__,
            queue_name=EVENTS_QUEUE,
            priority=priority,
            options={},
        )


def _in_one_line(function: Callable[..., None], tools: Tools, *args: object) -> None:
    """Run an actor; a server that is away is one line in the log. The dispatcher asks again."""
    try:
        with tools.pulse.working():
            function(tools, *args)
    except Unavailable as exc:
        log.warning("actor gave up", actor=function.__name__, error=str(exc))
