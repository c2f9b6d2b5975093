"""SendGrid's events in our words, each element of a request by itself."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.answers import code_in_short, identifier, in_short, key_of, moment, words
from app.gateways.email.sendgrid.personalizing import TAG_NAME
from app.gateways.email.sendgrid.sending import external_id

Element = Mapping[str, Any]
Meaning = tuple[EventType, OutcomeClass | None]

_HARD_BOUNCE = (EventType.BOUNCED, OutcomeClass.RECIPIENT)
_SOFT_BOUNCE = (EventType.BOUNCED, OutcomeClass.UNREACHABLE)
_FAILED = (EventType.FAILED, None)

# Why SendGrid itself sent nothing, by a part of its own words in lower case; the first that fits counts.
# Two facts are told where a person wants nothing any more: this message failed, and that they said so.
_MEANINGS_OF_DROPPING: dict[str, tuple[Meaning, ...]] = {
    "bounced address": ((EventType.FAILED, OutcomeClass.RECIPIENT),),
    "spam reporting address": (_FAILED, (EventType.COMPLAINED, None)),
    "unsubscribed address": (_FAILED, (EventType.UNSUBSCRIBED, None)),
    "spam content": ((EventType.FAILED, OutcomeClass.CONTENT),),
    "invalid smtpapi header": ((EventType.FAILED, OutcomeClass.CONFIG),),
    "package quota": ((EventType.FAILED, OutcomeClass.CONFIG),),
    "invalid": ((EventType.FAILED, OutcomeClass.RECIPIENT),),
}
_DROPPED_FOR_ANOTHER_REASON = ((EventType.FAILED, OutcomeClass.UNKNOWN),)

_PERMANENT = "5"
_LONGEST_ID = 100


def facts_of(element: object) -> Iterator[Fact]:
    """Read the facts of one element; none of an unknown type or of what cannot be read."""
    if not isinstance(element, dict):
        return
    meanings = _MEANINGS.get(words(element, "event"))
    if meanings is None:
        return
    for meaning in meanings(element):
        if fact := _fact(element, meaning):
            yield fact


def _fact(element: Element, meaning: Meaning) -> Fact | None:
    occurred_at, address = moment(element.get("timestamp")), words(element, "email")
    tag = Tag.parse(words(element, TAG_NAME))
    message = external_id(words(element, "sg_message_id"), address)
    if occurred_at is None or not (tag or message):
        return None
    event_type, outcome = meaning
    event_id = in_short(identifier(element.get("sg_event_id")) or "", at_most=_LONGEST_ID)
    return Fact(
        key=_key(element, event_type, event_id),
        event_type=event_type,
        occurred_at=occurred_at,
        tag=tag,
        external_id=message,
        external_event_id=event_id or None,
        outcome=outcome,
        code=code_in_short(words(element, "status") or words(element, "type")),
        detail=in_short(words(element, "reason") or words(element, "response"), without=[address]),
        data=_data(element),
    )


def _key(element: Element, event_type: EventType, event_id: str) -> str:
    """Name the fact by SendGrid's id for it, which elements of older kinds do not have."""
    kind = words(element, "event")
    if event_id:
        return f"{kind} {event_type} {event_id}"
    told = (TAG_NAME, "sg_message_id", "email", "timestamp", "reason", "response", "attempt", "url", "ip")
    return key_of("sendgrid", kind, event_type, *(element.get(name) for name in told))


def _data(element: Element) -> dict[str, str | int | bool]:
    data: dict[str, str | int | bool] = {}
    for name, ours in (("url", "url"), ("useragent", "user_agent"), ("bounce_classification", "class")):
        if said := words(element, name):
            data[ours] = in_short(said)
    if element.get("sg_machine_open") is True:
        # A mail program fetched it unasked: it shows that the message arrived, not that it was read.
        data["machine"] = True
    if (group := element.get("asm_group_id")) is not None and (number := identifier(group)):
        data["group"] = in_short(number)
    return data


def _always(*meanings: Meaning) -> Callable[[Element], tuple[Meaning, ...]]:
    return lambda _: meanings


def _bounced(element: Element) -> tuple[Meaning, ...]:
    """Tell a hard bounce from a block, which says nothing against the address."""
    kind = words(element, "type")
    hard = kind == "bounce" or (not kind and words(element, "status").startswith(_PERMANENT))
    return (_HARD_BOUNCE if hard else _SOFT_BOUNCE,)


def _dropped(element: Element) -> tuple[Meaning, ...]:
    reason = words(element, "reason").lower()
    found = (meanings for wording, meanings in _MEANINGS_OF_DROPPING.items() if wording in reason)
    return next(found, _DROPPED_FOR_ANOTHER_REASON)


# Someone who subscribes to a group again is heard by the callers' own consent, not by a past message.
_MEANINGS: dict[str, Callable[[Element], tuple[Meaning, ...]]] = {
    "processed": _always((EventType.SENT, None)),
    "delivered": _always((EventType.DELIVERED, None)),
    "deferred": _always((EventType.DEFERRED, OutcomeClass.UNREACHABLE)),
    "bounce": _bounced,
    "blocked": _always(_SOFT_BOUNCE),
    "dropped": _dropped,
    "open": _always((EventType.OPENED, None)),
    "click": _always((EventType.CLICKED, None)),
    "spamreport": _always((EventType.COMPLAINED, None)),
    "unsubscribe": _always((EventType.UNSUBSCRIBED, None)),
    "group_unsubscribe": _always((EventType.UNSUBSCRIBED, None)),
}
