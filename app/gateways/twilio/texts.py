"""What Twilio tells of messages: how ours fared, and what people wrote."""

from collections.abc import Sequence

from app.domain.facts import Fact, Inbound, InboundKind
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.gateways.answers import code_in_short, in_short, key_of
from app.gateways.twilio.bad_news import Story, story_of
from app.gateways.twilio.parties import canonical
from app.gateways.twilio.told import Told

_MOST_MEDIA = 10
_WHATSAPP = "whatsapp"

_GOOD_NEWS = {
    "queued": EventType.QUEUED,
    "accepted": EventType.QUEUED,
    "scheduled": EventType.QUEUED,
    "sending": EventType.SENT,
    "sent": EventType.SENT,
    "partially_delivered": EventType.SENT,
    "delivered": EventType.DELIVERED,
    "read": EventType.OPENED,
}
_BAD_NEWS = frozenset({"undelivered", "failed"})
_CANCELED = "canceled"
_OPT_OUT = {"STOP": True, "START": False}


def facts(told: Told) -> list[Fact]:
    """Read what became of a message of ours."""
    said = told.said
    status = said.get("MessageStatus") or said.get("SmsStatus", "")
    sid = _sid(told)
    if not sid or not status:
        return []
    if status in _GOOD_NEWS:
        return [_fact(told, status, Story(event_type=_GOOD_NEWS[status]))]
    if status == _CANCELED:
        withdrawn = Story(event_type=EventType.FAILED, outcome=OutcomeClass.CONTENT, code=_CANCELED)
        return [_fact(told, status, withdrawn)]
    if status in _BAD_NEWS:
        return [_fact(told, status, story) for story in story_of(said.get("ErrorCode"), status)]
    return []


def received(told: Told) -> Inbound | None:
    """Read what somebody wrote to a number or a service of ours."""
    said = told.said
    writer, sid = said.get("From"), _sid(told)
    if "MessageStatus" in said or said.get("SmsStatus") != "received" or not writer or not sid:
        return None
    return Inbound(
        key=key_of("twilio", sid, "received"),
        kind=InboundKind.MESSAGE,
        channel=Channel.WHATSAPP if _by_whatsapp(told) else Channel.SMS,
        sender=canonical(writer),
        recipient=_our_side(told, said.get("To", "")),
        text=said.get("Body", ""),
        received_at=told.at,
        external_id=sid,
        media=_media(told),
        opt_out=_OPT_OUT.get(said.get("OptOutType", "").upper()),
        number=canonical(said.get("To", "")) or None if said.get("MessagingServiceSid") else None,
    )


def _fact(told: Told, status: str, story: Story) -> Fact:
    said, sid = told.said, _sid(told)
    unsubscribed = story.event_type is EventType.UNSUBSCRIBED
    words = said.get("ErrorMessage") or said.get("ChannelStatusMessage", "")
    return Fact(
        key=key_of("twilio", sid, status, said.get("ErrorCode", ""), "stop" if unsubscribed else ""),
        event_type=story.event_type,
        occurred_at=told.at,
        tag=told.tag,
        external_id=sid,
        outcome=story.outcome,
        code=code_in_short(story.code),
        detail=in_short(words, without=[canonical(said.get(side, "")) for side in ("To", "From")]),
        gateway="twilio_whatsapp" if _by_whatsapp(told) else "twilio",
        sender=_our_side(told, said.get("From", "")) if unsubscribed else None,
    )


def _sid(told: Told) -> str:
    return told.said.get("MessageSid") or told.said.get("SmsSid", "")


def _by_whatsapp(told: Told) -> bool:
    sides = (told.said.get(name, "") for name in ("From", "To"))
    return told.said.get("ChannelPrefix") == _WHATSAPP or any(
        side.startswith(f"{_WHATSAPP}:") for side in sides
    )


def _our_side(told: Told, number: str) -> str:
    """Name our sender: the service where there is one, since people refuse it as a whole."""
    return told.said.get("MessagingServiceSid") or canonical(number)


def _media(told: Told) -> Sequence[str]:
    named = (told.said.get(f"MediaUrl{number}") for number in range(_MOST_MEDIA))
    return tuple(filter(None, named))
