"""What Bandwidth tells us afterwards, and what people write to our numbers there."""

import hmac
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import orjson

from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType
from app.errors import ConfigurationError, Forged, ProofMissing
from app.gateways.answers import code_in_short, identifier, in_short, key_of, listed, moment, part, words
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.sms.bandwidth.codes import ending_of
from app.gateways.sms.endings import DELIVERED, FAILED_SOMEHOW, OPENED, SENT, Ending, ended
from app.settings import Settings

_ENDINGS = {
    "message-sending": SENT,
    "message-sent": SENT,
    "message-delivered": DELIVERED,
    "message-read": OPENED,
}
_FAILED = "message-failed"
_RECEIVED = "message-received"


@dataclass(frozen=True, kw_only=True, slots=True)
class BandwidthWebhook(QuietWebhook):
    """Bandwidth's callbacks, proven by HTTP Basic alone: there is no signature.

    `credentials` are of the form "username:password"; each of them is believed. `mms_receipts` says
    that the account has receipts for MMS: without them "delivered" means handed to the carrier.
    """

    credentials: tuple[str, ...] = field(repr=False)
    mms_receipts: bool = False
    name: str = "bandwidth"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they describe none."""
        credentials = tuple(each.get_secret_value() for each in settings.bandwidth_webhook_credentials)
        if not credentials:
            return None
        for each in credentials:
            username, _, password = each.partition(":")
            if not (username and password):
                raise ConfigurationError(
                    "BANDWIDTH_WEBHOOK_CREDENTIALS takes username:password, and more of them after commas."
                )
        return cls(credentials=credentials, mms_receipts=settings.bandwidth_mms_receipts)

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — Basic has neither key nor time.
        """Return where the request carries one of the credentials; raises ProofMissing where it has none.

        Bandwidth's first request may come without: it gives them when it is asked.
        """
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise ProofMissing("credentials missing")
        try:
            given = b64decode(encoded.strip(), validate=True)
        except ValueError as exc:
            raise Forged("credentials' encoding") from exc
        # All are compared, so that the time it takes does not tell which of them fits.
        fits = [hmac.compare_digest(given, each.encode()) for each in self.credentials]
        if not any(fits):
            raise Forged("credentials")

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the facts about our messages; none of a type that Bandwidth adds later."""
        return [fact for event in _events(request.body) for fact in self._facts(event)]

    def inbound(self, request: WebhookRequest) -> list[Inbound]:
        """Read what people wrote; the words for opting out are left to us, as Bandwidth leaves them."""
        return [read for event in _events(request.body) for read in _inbound(event)]

    def _facts(self, event: dict[str, Any]) -> Iterable[Fact]:
        message, kind = part(event, "message"), words(event, "type")
        occurred_at, external_id = moment(event.get("time")), identifier(message.get("id"))
        tag, code = Tag.parse(words(message, "tag")), identifier(event.get("errorCode")) or ""
        ending = _failure(code, tag) if kind == _FAILED else _ENDINGS.get(kind)
        if ending is None or occurred_at is None or external_id is None:
            return []
        inferred = ending is DELIVERED and bool(listed(message, "media")) and not self.mms_receipts
        # An event has no id of its own. The recipient is the event's `to`: the message's may be several.
        to = words(event, "to")
        fact = Fact(
            key=key_of("bandwidth", external_id, to, kind, code),
            event_type=EventType.FAILED,
            occurred_at=occurred_at,
            tag=tag,
            external_id=external_id,
            code=code_in_short(code),
            detail=in_short(words(event, "description"), without=[to]),
            data={"inferred": True} if inferred else {},
        )
        return ended(fact, ending, sender=words(message, "from") or None)


def _failure(code: str, tag: Tag | None) -> Ending:
    if not code.isdecimal():
        return FAILED_SOMEHOW
    return ending_of(int(code), tag.attempt if tag else None)


def _inbound(event: dict[str, Any]) -> Iterable[Inbound]:
    message = part(event, "message")
    sender, recipient = words(message, "from"), words(event, "to")
    received_at, external_id = moment(event.get("time")), identifier(message.get("id"))
    if words(event, "type") != _RECEIVED or not (sender and recipient and received_at and external_id):
        return
    yield Inbound(
        key=key_of("bandwidth", external_id, recipient, _RECEIVED),
        kind=InboundKind.MESSAGE,
        channel=Channel.SMS,
        sender=sender,
        recipient=recipient,
        text=words(message, "text"),
        received_at=received_at,
        external_id=external_id,
        media=tuple(url for url in listed(message, "media") if isinstance(url, str)),
    )


def _events(body: bytes) -> list[dict[str, Any]]:
    """Take a request apart: a list of events as the guide has it, or a bare one as the newer API model."""
    try:
        told = orjson.loads(body)
    except ValueError:
        return []
    return [event for event in (told if isinstance(told, list) else [told]) if isinstance(event, dict)]
