"""How a text can end that a gateway had taken, in our words."""

from dataclasses import dataclass

from app.domain.facts import Fact
from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.answers import key_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What a vendor's code means for the message, and whether the recipient has opted out."""

    event_type: EventType
    outcome: OutcomeClass | None
    opted_out: bool = False


HARD_BOUNCE = Ending(event_type=EventType.BOUNCED, outcome=OutcomeClass.RECIPIENT)
SOFT_BOUNCE = Ending(event_type=EventType.BOUNCED, outcome=OutcomeClass.UNREACHABLE)
# No outcome: as `recipient` it would be a hard bounce too, which a later START could not lift.
OPTED_OUT = Ending(event_type=EventType.FAILED, outcome=None, opted_out=True)
MISCONFIGURED = Ending(event_type=EventType.FAILED, outcome=OutcomeClass.CONFIG)
BAD_CONTENT = Ending(event_type=EventType.FAILED, outcome=OutcomeClass.CONTENT)
TOO_FAST = Ending(event_type=EventType.FAILED, outcome=OutcomeClass.THROTTLE)
MAY_WORK_LATER = Ending(event_type=EventType.FAILED, outcome=OutcomeClass.TRANSIENT)
FAILED_SOMEHOW = Ending(event_type=EventType.FAILED, outcome=OutcomeClass.UNKNOWN)
# Perhaps delivered: kept in the history, and the message stays as it is.
UNDECIDED = Ending(event_type=EventType.DEFERRED, outcome=OutcomeClass.UNKNOWN)
SENT = Ending(event_type=EventType.SENT, outcome=None)
DELIVERED = Ending(event_type=EventType.DELIVERED, outcome=None)
OPENED = Ending(event_type=EventType.OPENED, outcome=None)


def ended(fact: Fact, ending: Ending, *, sender: str | None = None) -> list[Fact]:
    """Give a fact its ending; that somebody opted out is a second fact, beside the message's own.

    `sender` is the number of ours that they opted out of, where the vendor tells it.
    """
    told = fact._replace(event_type=ending.event_type, outcome=ending.outcome)
    if not ending.opted_out:
        return [told]
    key = key_of(told.key, "opted out")
    return [told, told._replace(key=key, event_type=EventType.UNSUBSCRIBED, sender=sender)]
