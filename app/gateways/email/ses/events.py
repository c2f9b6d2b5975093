"""SES's events in our words: one fact a recipient, whatever else the event holds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass
from app.gateways.answers import code_in_short, in_short, key_of, listed, moment, part, words
from app.gateways.email.ses.contents import TAG_NAME

Meaning = tuple[EventType, OutcomeClass | None]

_BOUNCE: dict[str, Meaning] = {
    "Permanent": (EventType.BOUNCED, OutcomeClass.RECIPIENT),
    "Transient": (EventType.BOUNCED, OutcomeClass.UNREACHABLE),
    "Undetermined": (EventType.BOUNCED, OutcomeClass.UNREACHABLE),
}
_UNKNOWN_BOUNCE = (EventType.BOUNCED, OutcomeClass.UNREACHABLE)
_ASKED_TO_STOP = "UnsubscribedRecipient"
_COMPLAINED_BEFORE = "OnAccountSuppressionList"
_NO_COMPLAINT = "not-spam"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """An event's two halves, what happened and to which mail, and the envelope's MessageId and Timestamp."""

    kind: str
    object: Mapping[str, Any]
    mail: Mapping[str, Any]
    envelope: Mapping[str, str]

    @property
    def recipients(self) -> list[str]:
        return [each for each in listed(self.mail, "destination") if isinstance(each, str)]

    def fact(
        self,
        recipient: str,
        meaning: Meaning,
        *,
        code: str = "",
        detail: str = "",
        data: Mapping[str, str] | None = None,
    ) -> Fact | None:
        """Make the fact about one recipient; None without a time or anything that names the message."""
        times = (self.object.get("timestamp"), self.mail.get("timestamp"), self.envelope.get("Timestamp"))
        occurred_at = next(filter(None, map(moment, times)), None)
        tag, external_id = self._tag(), words(self.mail, "messageId") or None
        if occurred_at is None or not (tag or external_id):
            return None
        told_once_by = words(self.object, "feedbackId") or (external_id, self.object.get("timestamp"))
        event_type, outcome = meaning
        return Fact(
            key=key_of("ses", self.kind, recipient.lower(), told_once_by),
            event_type=event_type,
            occurred_at=occurred_at,
            tag=tag,
            external_id=external_id,
            external_event_id=self.envelope.get("MessageId"),
            outcome=outcome,
            code=code_in_short(code),
            detail=in_short(detail, without=[recipient]),
            data={name: in_short(value) for name, value in (data or {}).items() if value},
        )

    def _tag(self) -> Tag | None:
        values = listed(part(self.mail, "tags"), TAG_NAME)
        return Tag.parse(values[0]) if values and isinstance(values[0], str) else None


def facts_of(event: Mapping[str, Any], envelope: Mapping[str, str]) -> list[Fact]:
    """Read an event's facts; none of an unknown type, of plain text, or of what cannot be read."""
    kind = words(event, "eventType") or words(event, "notificationType")
    if kind not in _READERS:
        return []
    name, read = _READERS[kind]
    told = _Told(kind=kind, object=part(event, name), mail=part(event, "mail"), envelope=envelope)
    return [fact for fact in read(told) if fact]


def _about_all(meaning: Meaning, *, reason: str = "") -> Callable[[_Told], Iterable[Fact | None]]:
    """Make a reader of events that name no recipients of their own, with the member that says why."""

    def read(told: _Told) -> Iterable[Fact | None]:
        detail = words(told.object, reason)
        return [told.fact(each, meaning, detail=detail) for each in told.recipients]

    return read


def _delivered(told: _Told) -> Iterable[Fact | None]:
    for recipient in listed(told.object, "recipients"):
        if isinstance(recipient, str):
            detail = words(told.object, "smtpResponse")
            yield told.fact(recipient, (EventType.DELIVERED, None), detail=detail)


def _bounced(told: _Told) -> Iterable[Fact | None]:
    kind, why = words(told.object, "bounceType"), words(told.object, "bounceSubType")
    meaning = _BOUNCE.get(kind, _UNKNOWN_BOUNCE)
    if why == _ASKED_TO_STOP:
        meaning = (EventType.UNSUBSCRIBED, None)
    for recipient, entry in _named(told, "bouncedRecipients"):
        yield told.fact(recipient, meaning, code=f"{kind}/{why}", detail=_diagnosis(entry))


def _complained(told: _Told) -> Iterable[Fact | None]:
    kind, why = words(told.object, "complaintFeedbackType"), words(told.object, "complaintSubType")
    if kind == _NO_COMPLAINT:
        return
    meaning: Meaning = (EventType.COMPLAINED, None)
    if why == _COMPLAINED_BEFORE:
        meaning = (EventType.FAILED, OutcomeClass.RECIPIENT)
    for recipient, _ in _named(told, "complainedRecipients"):
        yield told.fact(recipient, meaning, code=why or kind)


def _delayed(told: _Told) -> Iterable[Fact | None]:
    meaning, why = (EventType.DEFERRED, OutcomeClass.UNREACHABLE), words(told.object, "delayType")
    for recipient, entry in _named(told, "delayedRecipients"):
        yield told.fact(recipient, meaning, code=why, detail=_diagnosis(entry))


def _opened(told: _Told) -> Iterable[Fact | None]:
    return _seen(told, EventType.OPENED, {})


def _clicked(told: _Told) -> Iterable[Fact | None]:
    return _seen(told, EventType.CLICKED, {"url": words(told.object, "link")})


def _seen(told: _Told, event_type: EventType, data: Mapping[str, str]) -> Iterable[Fact | None]:
    # The event does not say who: with several recipients it is anybody's.
    if len(told.recipients) == 1:
        seen = {**data, "user_agent": words(told.object, "userAgent")}
        yield told.fact(told.recipients[0], (event_type, None), data=seen)


def _subscription_changed(told: _Told) -> Iterable[Fact | None]:
    wishes = part(told.object, "newTopicPreferences")
    statuses = [words(part(each), "subscriptionStatus") for each in listed(wishes, "topicSubscriptionStatus")]
    if wishes.get("unsubscribeAll") is True or "OptOut" in statuses:
        for recipient in told.recipients:
            yield told.fact(recipient, (EventType.UNSUBSCRIBED, None), code=words(told.object, "source"))


def _named(told: _Told, name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    for entry in map(part, listed(told.object, name)):
        if address := words(entry, "emailAddress"):
            yield address, entry


def _diagnosis(entry: Mapping[str, Any]) -> str:
    return f"{words(entry, 'status')} {words(entry, 'diagnosticCode')}"


# By the event's type: the member that says more, and who reads it.
_READERS: dict[str, tuple[str, Callable[[_Told], Iterable[Fact | None]]]] = {
    "Send": ("send", _about_all((EventType.SENT, None))),
    "Delivery": ("delivery", _delivered),
    "Bounce": ("bounce", _bounced),
    "Complaint": ("complaint", _complained),
    "Reject": ("reject", _about_all((EventType.FAILED, OutcomeClass.CONTENT), reason="reason")),
    "Rendering Failure": (
        "failure",
        _about_all((EventType.FAILED, OutcomeClass.CONTENT), reason="errorMessage"),
    ),
    "DeliveryDelay": ("deliveryDelay", _delayed),
    "Open": ("open", _opened),
    "Click": ("click", _clicked),
    "Subscription": ("subscription", _subscription_changed),
}
