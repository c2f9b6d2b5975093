"""What Bird tells us about our texts, and what people write to our numbers there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType
from app.gateways.answers import code_in_short, identifier, in_short, json_object, key_of, moment, part, words
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.sms.bird.channels import channels_of
from app.gateways.sms.delivery_errors import ending_of
from app.gateways.sms.endings import DELIVERED, FAILED_SOMEHOW, SENT, SOFT_BOUNCE, UNDECIDED, Ending, ended
from app.gateways.sms.stamps import check_stamp
from app.settings import Settings

# `accepted` and `processing` count as sent: they prove that Bird has the message.
_ENDINGS: dict[str, Ending] = {
    "accepted": SENT,
    "processing": SENT,
    "sent": SENT,
    "delivered": DELIVERED,
}
# What such a failure means where Bird gives no code for it.
_FAILURES: dict[str, Ending] = {
    "delivery_failed": SOFT_BOUNCE,
    "sending_failed": FAILED_SOMEHOW,
    "rejected": FAILED_SOMEHOW,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BirdWebhook(QuietWebhook):
    """Bird's webhook subscriptions, proven with any of their signing keys.

    `channels` are as in `Bird`: what people write names the channel, and that the number of ours.
    """

    signing_keys: tuple[str, ...] = field(repr=False)
    channels: Mapping[str, str] = field(default_factory=dict)
    name: str = "bird"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they describe none."""
        keys = tuple(key.get_secret_value() for key in settings.bird_signing_keys)
        if not keys:
            return None
        return cls(signing_keys=keys, channels=channels_of(settings.bird_channels))

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — settings hold the keys.
        """Return where the signature holds over time, address and body; raises Forged otherwise."""
        check_stamp(request.headers, [request.url], request.body, self.signing_keys, now)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the status of one of our messages; none of other subscriptions' events."""
        message = _payload(request.body, "sms.outbound")
        status, external_id = words(message, "status"), identifier(message.get("id"))
        if not status or not external_id:
            return []
        failure = part(message, "failure")
        code = identifier(part(failure, "source").get("code")) or ""
        when = words(message, "lastStatusAt")
        fact = Fact(
            key=key_of("bird", external_id, status, when),
            event_type=EventType.FAILED,
            occurred_at=moment(when) or request.received_at,
            tag=Tag.parse(words(message, "reference")),
            external_id=external_id,
            code=code_in_short(code or identifier(failure.get("code")) or status),
            detail=in_short(words(message, "reason") or words(failure, "description")),
        )
        return ended(fact, _ending(status, code), sender=self._sender(words(message, "channelId")))

    def inbound(self, request: WebhookRequest) -> list[Inbound]:
        """Read what somebody wrote to one of our channels."""
        message = _payload(request.body, "sms.inbound")
        sender = words(part(message, "sender", "contact"), "identifierValue")
        channel, external_id = words(message, "channelId"), identifier(message.get("id"))
        if not (sender and channel and external_id):
            return []
        read = Inbound(
            key=key_of("bird", external_id, "inbound"),
            kind=InboundKind.MESSAGE,
            channel=Channel.SMS,
            sender=sender,
            recipient=self._sender(channel) or channel,
            text=words(part(message, "body", "text"), "text"),
            received_at=moment(message.get("createdAt")) or request.received_at,
            external_id=external_id,
        )
        return [read]

    def _sender(self, channel: str) -> str | None:
        return next((sender for sender, its in self.channels.items() if its == channel), None)


def _payload(body: bytes, event: str) -> dict[str, Any]:
    told = json_object(body)
    return part(told, "payload") if words(told, "event") == event else {}


def _ending(status: str, code: str) -> Ending:
    if status in _FAILURES:
        return ending_of(code) if code else _FAILURES[status]
    return _ENDINGS.get(status, UNDECIDED)
