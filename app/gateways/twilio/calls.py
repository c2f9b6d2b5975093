"""What Twilio tells of calls, and what it is told to do next in them."""

from collections.abc import Sequence

from app.domain.facts import Fact, Inbound, InboundKind
from app.domain.vocabulary import Channel, EventType, OutcomeClass
from app.gateways.answers import code_in_short, in_short, key_of
from app.gateways.twilio.bad_news import Story, story_of
from app.gateways.twilio.callbacks import Step, opened
from app.gateways.twilio.codes import Meaning
from app.gateways.twilio.parties import canonical
from app.gateways.twilio.told import Told
from app.gateways.twilio.twiml import HANG_UP, Speech, listening, thanks
from app.gateways.twilio.voice import OnMachine

Data = dict[str, str | int | bool]

_UNDER_WAY = {
    "queued": EventType.QUEUED,
    "initiated": EventType.SENT,
    "ringing": EventType.SENT,
    "in-progress": EventType.SENT,
}
_DELIVERED = Story(event_type=EventType.DELIVERED)
_MISSED = {"busy": "the line is busy", "no-answer": "nobody answers"}
_UNREACHABLE = Meaning(kind=OutcomeClass.UNREACHABLE)
_COMPLETED = "completed"


def facts(told: Told) -> list[Fact]:
    """Read what became of a call of ours."""
    if told.said.get("Direction") == "inbound":
        return []
    if told.step is Step.DIGITS:
        return [_confirmed(told)] if _confirms(told) else []
    if told.step is Step.RECORDED or told.said.get("RecordingSid"):
        return _recorded(told)
    if told.step is Step.DETECTED:
        return [_fact(told, "detected", Story(event_type=EventType.SENT), _answered_by(told))]
    return _status(told)


def pressed(told: Told) -> Inbound | None:
    """Read the keys that were pressed in a call of ours."""
    said = told.said
    if told.step is not Step.DIGITS or not said.get("Digits"):
        return None
    return Inbound(
        key=key_of("twilio", said["CallSid"], "digits", said["Digits"]),
        kind=InboundKind.DIGITS,
        channel=Channel.VOICE,
        sender=canonical(said.get("To", "")),
        recipient=canonical(said.get("From", "")),
        text=said["Digits"],
        received_at=told.at,
        external_id=said["CallSid"],
        tag=told.tag,
    )


def after_keys(told: Told) -> str:
    """Thank for the digit that was asked for, and wait for it after another one."""
    if not _confirms(told):
        return listening(told.url)
    return thanks(Speech(voice=told.ours.get("voice", ""), language=told.ours.get("language", "")))


def after_answering(told: Told, tokens: Sequence[str]) -> str:
    """Say the words that the address holds to a person, and nothing to a machine."""
    words = opened(told.ours.get("say", ""), told.tag, tokens) if told.tag else None
    return HANG_UP if words is None or _by_machine(told) else words


def _status(told: Told) -> list[Fact]:
    status = told.said.get("CallStatus", "")
    if status in _UNDER_WAY:
        data: Data = {"call_status": status, **_answered_by(told)}
        return [_fact(told, status, Story(event_type=_UNDER_WAY[status]), data)]
    return [_fact(told, status, story, _ended(told)) for story in _endings(told, status)]


def _endings(told: Told, status: str) -> list[Story]:
    if status == _COMPLETED:
        unheard = _by_machine(told) and told.ours.get("on_machine") == OnMachine.HANG_UP
        return [_unreachable("machine", "a machine answers")] if unheard else [_DELIVERED]
    if status in _MISSED:
        return [_unreachable(status, _MISSED[status])]
    if status == "canceled":
        return [Story(event_type=EventType.FAILED, outcome=OutcomeClass.CONTENT, code=status)]
    if status == "failed":
        return _failed(told)
    return []


def _failed(told: Told) -> list[Story]:
    """Tell why a call could not be made; without a code that we know it says little against the number."""
    reply = told.said.get("SipResponseCode")
    stories = story_of(told.said.get("ErrorCode"), f"sip_{reply}" if reply else "failed", _UNREACHABLE)
    if [story.outcome for story in stories] != [OutcomeClass.UNREACHABLE]:
        return stories
    return [Story(event_type=EventType.FAILED, outcome=OutcomeClass.UNREACHABLE, code=stories[0].code)]


def _unreachable(code: str, words: str) -> Story:
    return Story(event_type=EventType.BOUNCED, outcome=OutcomeClass.UNREACHABLE, code=code, words=words)


def _recorded(told: Told) -> list[Fact]:
    if told.said.get("RecordingStatus", _COMPLETED) != _COMPLETED:
        return []
    data: Data = {
        "recording": told.said.get("RecordingSid", ""),
        "recording_url": in_short(told.said.get("RecordingUrl", "")),
        **_number(told, "recording_seconds", "RecordingDuration"),
    }
    act = f"recorded {data['recording']}"
    return [_fact(told, act, Story(event_type=EventType.SENT), data)]


def _confirms(told: Told) -> bool:
    wanted = told.ours.get("digit")
    return bool(wanted) and told.said.get("Digits") == wanted


def _confirmed(told: Told) -> Fact:
    return _fact(told, "confirmed", Story(event_type=EventType.CONFIRMED), {"digit": told.ours["digit"]})


def _by_machine(told: Told) -> bool:
    answered_by = told.said.get("AnsweredBy", "")
    return answered_by.startswith("machine") or answered_by == "fax"


def _answered_by(told: Told) -> Data:
    named = told.said.get("AnsweredBy")
    return {"answered_by": code_in_short(named)} if named else {}


def _ended(told: Told) -> Data:
    return {**_answered_by(told), **_number(told, "seconds", "CallDuration")}


def _number(told: Told, name: str, parameter: str) -> Data:
    written = told.said.get(parameter, "")
    return {name: int(written)} if written.isascii() and written.isdecimal() and len(written) < 9 else {}  # noqa: PLR2004 — no call lasts for years.


def _fact(told: Told, act: str, story: Story, data: Data) -> Fact:
    said = told.said
    unsubscribed = story.event_type is EventType.UNSUBSCRIBED
    return Fact(
        key=key_of("twilio", said["CallSid"], act, "stop" if unsubscribed else ""),
        event_type=story.event_type,
        occurred_at=told.occurred_at,
        tag=told.tag,
        external_id=said["CallSid"],
        outcome=story.outcome,
        code=code_in_short(story.code),
        detail=in_short(
            said.get("ErrorMessage") or story.words,
            without=[canonical(said.get(side, "")) for side in ("To", "From")],
        ),
        data=data,
        gateway="twilio_voice",
        sender=canonical(said.get("From", "")) if unsubscribed else None,
    )
