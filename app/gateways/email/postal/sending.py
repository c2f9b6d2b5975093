"""Email through Postal's HTTP API: one recipient a request, so that each message has an id of its own."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import code_in_short, identifier, in_short, json_object, part, wait_asked_for, words
from app.gateways.base import Attachment, Envelope, HttpRequest, HttpResponse
from app.gateways.email.mail import mailbox, unsendable
from app.gateways.email.mime import MOST_BYTES, mail_of, size_of, unwritable
from app.gateways.probing import PROBE_TIMEOUT, WELL, outcome_by_status
from app.settings import Settings

_MESSAGE = "/api/v1/send/message"
_RAW = "/api/v1/send/raw"
_FIND = "/api/v1/messages/message"
_TAG_FIELD = "X-Postal-Tag"

_ACCOUNT = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER = (OutcomeClass.CONFIG, ConfigScope.SENDER)
_CONTENT = (OutcomeClass.CONTENT, None)

_MEANING: dict[str, tuple[OutcomeClass, ConfigScope | None]] = {
    "AccessDenied": _ACCOUNT,
    "InvalidServerAPIKey": _ACCOUNT,
    "ServerSuspended": _ACCOUNT,
    "UnauthenticatedFromAddress": _SENDER,
    "FromAddressMissing": _SENDER,
    "NoContent": _CONTENT,
    "AttachmentMissingName": _CONTENT,
    "AttachmentMissingData": _CONTENT,
    "NoRecipients": _CONTENT,
    "TooManyToAddresses": _CONTENT,
    "TooManyCCAddresses": _CONTENT,
    "TooManyBCCAddresses": _CONTENT,
    "parameter-error": _CONTENT,
}

# Postal itself always answers 200; another status is of a proxy before it or of its crash.
_MEANING_OF_STATUS = {429: OutcomeClass.THROTTLE, 503: OutcomeClass.TRANSIENT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Postal:
    """One Postal mail server, by its address and one API credential of it."""

    url: str
    api_key: str = field(repr=False)
    timeout: timedelta = timedelta(seconds=15)
    name: str = "postal"
    channel: Channel = Channel.EMAIL
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        if not settings.postal_url and not settings.postal_api_key:
            return None
        if not settings.postal_url or not settings.postal_api_key:
            raise ConfigurationError("Postal takes both POSTAL_URL and POSTAL_API_KEY; set both or none.")
        return cls(
            url=settings.postal_url.rstrip("/"),
            api_key=settings.postal_api_key.get_secret_value(),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the request for one message; raises Invalid where `cannot_express` names something.

        Postal writes the mail, unless there is something in it that only a whole mail can say.
        """
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        path, parameters = (
            (_RAW, _raw(message, now)) if _has_pictures(message) else (_MESSAGE, _parameters(message))
        )
        return HttpRequest(
            url=f"{self.url}{path}",
            headers={"Content-Type": "application/json", "X-Server-API-Key": self.api_key},
            body=orjson.dumps(parameters),
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        if response.status != 200:  # noqa: PLR2004 — the status that Postal always has.
            return [_outcome_of_status(response)]
        answer = json_object(response.body)
        if words(answer, "status") == "success":
            return [_accepted(message, part(answer, "data", "messages"))]
        return [self._refused(answer)]

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — Postal takes no time; the protocol gives one.
        """Ask for a message that cannot be there: Postal looks at the credential first."""
        return HttpRequest(
            url=f"{self.url}{_FIND}",
            headers={"Content-Type": "application/json", "X-Server-API-Key": self.api_key},
            body=orjson.dumps({"id": 0}),
            timeout=PROBE_TIMEOUT,
        )

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Take not finding the message as a sign of being well."""
        if response.status != 200:  # noqa: PLR2004 — the status that Postal always has.
            return outcome_by_status(response)
        answer = json_object(response.body)
        if words(part(answer, "data"), "code") == "MessageNotFound":
            return WELL
        return self._refused(answer)

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what neither Postal nor a whole mail could say, or what makes it larger than mails may be."""
        if fault := unsendable(message):
            return fault
        if _has_pictures(message):
            return unwritable(message)
        return f"more than {MOST_BYTES // 1024**2} MB" if size_of(message) > MOST_BYTES else None

    def _refused(self, answer: dict[str, Any]) -> Outcome:
        data = part(answer, "data")
        status = words(answer, "status")
        code = words(data, "code") if status == "error" else status
        kind, scope = _MEANING.get(code, (OutcomeClass.UNKNOWN, None))
        # The answer to a wrong key repeats the key, so only the words beside it are kept.
        detail = in_short(words(data, "message"), without=[self.api_key])
        return Outcome(kind=kind, scope=scope, code=code_in_short(code) or "http_200", detail=detail)


def _parameters(message: Envelope) -> dict[str, Any]:
    sender = mailbox(message.sender)
    reply_to = mailbox(message.reply_to) if message.reply_to else None
    parameters = {
        "to": [message.address],
        "from": sender and sender.in_unicode(),
        "reply_to": reply_to and reply_to.in_unicode(),
        "subject": message.subject,
        "tag": str(message.tag),
        "plain_body": message.text,
        "html_body": message.html,
        "headers": dict(message.headers),
        "attachments": [_attachment(each) for each in message.attachments],
    }
    return {name: value for name, value in parameters.items() if value}


def _has_pictures(message: Envelope) -> bool:
    """Tell whether a text shows something by its content id, for which Postal's own form has no place."""
    return any(attachment.content_id for attachment in message.attachments)


def _raw(message: Envelope, now: datetime) -> dict[str, Any]:
    sender = mailbox(message.sender)
    address = sender.address if sender else ""
    mail = mail_of(message, now=now, domain=address.rpartition("@")[2], extra={_TAG_FIELD: str(message.tag)})
    return {"rcpt_to": [message.address], "mail_from": address, "data": b64encode(mail).decode()}


def _attachment(attachment: Attachment) -> dict[str, str]:
    return {
        "name": attachment.filename,
        "content_type": attachment.content_type,
        "data": b64encode(attachment.content).decode(),
    }


def _accepted(message: Envelope, created: dict[str, Any]) -> Outcome:
    by_address = {address.lower(): entry for address, entry in created.items()}
    # Postal may spell the address otherwise, but the only entry of our only recipient is ours.
    only = next(iter(created.values()), None) if len(created) == 1 else None
    entry = by_address.get(message.address.lower(), only)
    if entry is None:
        return Outcome(kind=OutcomeClass.UNKNOWN, code="success", detail="names no message of ours")
    return Outcome(kind=OutcomeClass.ACCEPTED, external_id=identifier(part(entry).get("id")))


def _outcome_of_status(response: HttpResponse) -> Outcome:
    kind = _MEANING_OF_STATUS.get(response.status, OutcomeClass.UNKNOWN)
    wait = wait_asked_for(response.headers) if kind == OutcomeClass.THROTTLE else None
    return Outcome(kind=kind, code=f"http_{response.status}", retry_after=wait)
