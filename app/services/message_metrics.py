"""What is counted of messages on their way, step by step, from accepted to delivered.

Labels are few and ours: priorities, channels, gateways, words of our own; never an address or an id.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from prometheus_client import Counter, Histogram

from app.domain.lanes import Lane
from app.domain.vocabulary import Channel, Priority, Status
from app.queue.rows import Claimed

_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)

_ACCEPTED = Counter(
    "tocsin_messages_accepted",
    "Messages that callers were answered 202 or 200 for, rows of bulk requests too",
    ("priority", "channel", "kind"),
)
_QUEUED = Counter(
    "tocsin_messages_queued",
    "Messages that were put into the queue, by status: pending, or suppressed at once",
    ("priority", "channel", "status"),
)
_CLAIMED = Counter("tocsin_messages_claimed", "Messages in claims that a worker began with", ("priority",))
_STARTED = Counter(
    "tocsin_messages_started", "Messages whose request was begun", ("priority", "channel", "gateway")
)
_WAIT = Histogram(
    "tocsin_wait_seconds",
    "From when a message was due until it was on the wire",
    ("priority",),
    buckets=_LONG,
)
_CALL = Histogram(
    "tocsin_gateway_seconds",
    "From a request to a gateway to its answer",
    ("priority", "channel", "gateway"),
    buckets=_QUICK,
)
_HANDOVER = Histogram(
    "tocsin_handover_seconds",
    "From when a message was accepted, or was to go, until a gateway had it; as its time limit counts it",
    ("priority", "channel", "gateway"),
    buckets=_LONG,
)
_DELIVERY = Histogram(
    "tocsin_delivery_seconds",
    "From when a message was accepted, or was to go, until it was delivered",
    ("priority", "channel", "gateway"),
    buckets=_LONG,
)
_WEBHOOK_LAG = Histogram(
    "tocsin_webhook_lag_seconds",
    "From when a webhook came until it had its effect",
    ("gateway",),
    buckets=_LONG,
)

_started = cache(_STARTED.labels)
_claimed = cache(_CLAIMED.labels)
_call = cache(_CALL.labels)
_handover = cache(_HANDOVER.labels)
_wait = cache(_WAIT.labels)

_MILLISECONDS_FROM = 80  # bits of a UUIDv7 below its time


def count_accepted(priority: Priority, channel: Channel, count: int, *, bulk: bool) -> None:
    """Count what callers were promised; one message, or the good rows of a bulk request."""
    _ACCEPTED.labels(priority.value, channel.value, "bulk" if bulk else "single").inc(count)


def count_queued(priority: Priority, channel: Channel, counts: Iterable[tuple[Status, int]]) -> None:
    """Count what came into the queue, by status."""
    for status, count in counts:
        if count:
            _QUEUED.labels(priority.value, channel.value, status.value).inc(count)


def count_claimed(priority: Priority, count: int) -> None:
    """Count the messages of a claim that somebody begins with."""
    _claimed(priority.value).inc(count)


def note_started(
    priority: Priority, started: Sequence[tuple[Channel, str, Sequence[Claimed]]], now: datetime
) -> None:
    """Count messages whose requests begin, by channel and gateway, and how long they were due."""
    waits: list[float] = []
    for channel, gateway, messages in started:
        _started(priority.value, channel.value, gateway).inc(len(messages))
        waits += [(now - message.scheduled_for).total_seconds() for message in messages]
    _observe(_wait(priority.value), waits)


def note_calls(priority: Priority, channel: Channel, gateway: str, took: Sequence[timedelta]) -> None:
    """Note how long a gateway took to answer each of some requests."""
    _observe(_call(priority.value, channel.value, gateway), [each.total_seconds() for each in took])


def note_handed_over(
    lane: Lane, channel: Channel, gateway: str, messages: Sequence[Claimed], now: datetime
) -> None:
    """Note how long it took until a gateway had each of some messages."""
    at = now.timestamp()
    seconds = [at - due_at(message, lane) for message in messages]
    _observe(_handover(lane.priority.value, channel.value, gateway), seconds)


def note_delivered(
    lane: Lane, channel: Channel, gateway: str, delivered: Iterable[tuple[Claimed, datetime]]
) -> None:
    """Note how long it took until each of some messages was delivered."""
    seconds = [at.timestamp() - due_at(message, lane) for message, at in delivered]
    _observe(_DELIVERY.labels(lane.priority.value, channel.value, gateway), seconds)


def note_webhook_lag(received: Iterable[tuple[str, datetime]], now: datetime) -> None:
    """Note how long webhooks, by gateway, waited for their effect."""
    lags: dict[str, list[float]] = {}
    for gateway, at in received:
        lags.setdefault(gateway, []).append((now - at).total_seconds())
    for gateway, some in lags.items():
        _observe(_WEBHOOK_LAG.labels(gateway), some)


def accepted_at(message: Claimed) -> datetime:
    """Tell when a message was made: its UUIDv7 begins with it."""
    return datetime.fromtimestamp((message.uuid.int >> _MILLISECONDS_FROM) / 1000, UTC)


def due_at(message: Claimed, lane: Lane) -> float:
    """Give the time, in seconds since 1970, from which a message's limit counts.

    That is when it was accepted, or what it was scheduled for, which retries move and expires_at remembers.
    """
    made = (message.uuid.int >> _MILLISECONDS_FROM) / 1000
    meant = message.expires_at.timestamp() - lane.max_age.total_seconds()
    return max(made, min(message.scheduled_for.timestamp(), meant))


def _observe(histogram: Histogram, seconds: Sequence[float]) -> None:
    """Add many values at once: the library's own way takes a lock and two writes for each of them."""
    if not seconds:
        return
    bounds = histogram._upper_bounds  # noqa: SLF001 - There is no public way; a test compares with `observe`.
    places = Tally(bisect_left(bounds, max(value, 0.0)) for value in seconds)
    for place, count in places.items():
        histogram._buckets[place].inc(count)  # noqa: SLF001 - Likewise.
    histogram._sum.inc(sum(max(value, 0.0) for value in seconds))  # noqa: SLF001 - Likewise.
