"""How facts that gateways tell move a message's state, in whatever order they arrive."""

from enum import Enum, auto
from typing import NamedTuple

from app.domain.vocabulary import EventType, OutcomeClass, Status


class Move(Enum):
    """What a fact does to a message's state."""

    NONE = auto()
    SENT = auto()
    DELIVERED = auto()
    BOUNCED = auto()
    FAILED = auto()
    RETRY = auto()  # the gateway took it and now says that it will not send it: another round
    LATER = auto()  # too early to tell: the worker has not settled the try that this is about


class Told(NamedTuple):
    """A fact against the message as it is now.

    `current` says that the fact is about the message's latest try; `unknown` that of that try, or one
    before, nobody knew what became.
    """

    event_type: EventType
    outcome: OutcomeClass | None
    current: bool
    unknown: bool


_RETRYABLE = frozenset({OutcomeClass.THROTTLE, OutcomeClass.TRANSIENT, OutcomeClass.CONFIG})

# A message that waits, failed, expired or was cancelled may still arrive: by an earlier, unknown try.
_UNFINISHED = frozenset({Status.PENDING, Status.FAILED, Status.EXPIRED, Status.CANCELLED})
_ARRIVES_FROM = _UNFINISHED | {Status.PROCESSING, Status.SENT, Status.HELD}
_SEEN_FROM = frozenset({Status.PROCESSING, Status.SENT, Status.HELD})
_BOUNCES_FROM = frozenset({Status.PROCESSING, Status.SENT, Status.DELIVERED, Status.HELD})
_FAILS_FROM = frozenset({Status.PROCESSING, Status.SENT, Status.HELD})


def move(status: Status, told: Told) -> Move:
    """Tell what the fact does; what it does not do, it is recorded all the same."""
    rule = _RULES.get(told.event_type)
    return rule(status, told) if rule else Move.NONE


def _sent(status: Status, told: Told) -> Move:
    proven = status is Status.HELD or (told.unknown and status in _UNFINISHED)
    return Move.SENT if proven else Move.NONE


def _delivered(status: Status, _told: Told) -> Move:
    return Move.DELIVERED if status in _ARRIVES_FROM else Move.NONE


def _seen(status: Status, told: Told) -> Move:
    proven = status in _SEEN_FROM or (told.unknown and status in _UNFINISHED)
    return Move.DELIVERED if proven else Move.NONE


def _bounced(status: Status, told: Told) -> Move:
    return Move.BOUNCED if told.current and status in _BOUNCES_FROM else Move.NONE


def _failed(status: Status, told: Told) -> Move:
    if not told.current:
        return Move.NONE
    if told.outcome in _RETRYABLE:
        return {Status.SENT: Move.RETRY, Status.PROCESSING: Move.LATER}.get(status, Move.NONE)
    return Move.FAILED if status in _FAILS_FROM else Move.NONE


_RULES = {
    EventType.SENT: _sent,
    EventType.DELIVERED: _delivered,
    EventType.OPENED: _seen,
    EventType.CLICKED: _seen,
    EventType.BOUNCED: _bounced,
    EventType.FAILED: _failed,
}
