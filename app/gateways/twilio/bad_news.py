"""How a code that Twilio tells afterwards is put into facts."""

from dataclasses import dataclass

from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.twilio.codes import UNKNOWN, Meaning, meaning_of, number_of

_BOUNCES = frozenset({OutcomeClass.RECIPIENT, OutcomeClass.UNREACHABLE})


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """One thing to be recorded about a message; `words` are ours, for where Twilio has none."""

    event_type: EventType
    outcome: OutcomeClass | None = None
    code: str = ""
    words: str = ""


def story_of(code: str | None, status: str, otherwise: Meaning = UNKNOWN) -> list[Story]:
    """Tell what a code means for a message that Twilio had taken; `otherwise` is for one not known here."""
    meaning = meaning_of(number_of(code)) or otherwise
    named = code or status
    if meaning.opt_out:
        # An opt-out is taken back by START, which a hard bounce is not: so the failure stands alone.
        return [
            Story(event_type=EventType.UNSUBSCRIBED, code=named),
            Story(event_type=EventType.FAILED, code=named),
        ]
    bounced = meaning.kind in _BOUNCES
    event_type = EventType.BOUNCED if bounced else EventType.FAILED
    return [Story(event_type=event_type, outcome=meaning.kind, code=named)]
