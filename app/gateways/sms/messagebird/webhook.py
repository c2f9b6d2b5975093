"""What MessageBird tells us by GET about our texts, and what people write to our numbers there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from app.domain.facts import Fact, Inbound, InboundKind, Tag
from app.domain.vocabulary import Channel, EventType
from app.gateways.answers import code_in_short, identifier, in_short, json_object, key_of, listed, moment
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.sms.delivery_errors import ending_of
from app.gateways.sms.endings import DELIVERED, SENT, SOFT_BOUNCE, UNDECIDED, Ending, ended
from app.gateways.sms.messagebird.proof import check
from app.gateways.sms.texts import international
from app.settings import Settings

_ENDINGS: dict[str, Ending] = {
    "scheduled": SENT,
    "buffered": SENT,  # MessageBird goes on trying.
    "sent": SENT,
    "delivered": DELIVERED,
    "expired": SOFT_BOUNCE,
}
_FAILED = "delivery_failed"

# As numbers that are shared between customers have it, in UTC.
_COMPACT_TIME = re.compile(r"[0-9]{14}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageBirdWebhook(QuietWebhook):
    """MessageBird's webhooks, proven with any of the account's signing keys."""

    signing_keys: tuple[str, ...] = field(repr=False)
    accept_deprecated: bool = False
    name: str = "messagebird"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they describe none."""
        keys = tuple(key.get_secret_value() for key in settings.messagebird_signing_keys)
        if not keys:
            return None
        return cls(signing_keys=keys, accept_deprecated=settings.messagebird_accept_deprecated_signature)

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — settings hold the keys.
        """Return where the proof holds over address and body; raises Forged otherwise.

        A token lives a minute. Told twice in that time, a fact counts once all the same.
        """
        check(request, self.signing_keys, now, accept_deprecated=self.accept_deprecated)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the status report that an address carries; none where it is something else."""
        return facts_of(_query(request.url), request.received_at)

    def inbound(self, request: WebhookRequest) -> list[Inbound]:
        """Read what somebody wrote: in the address, or in the body as a form or as JSON."""
        told = {**_query(request.url), **_body(request.body)}
        sender = told.get("originator", "")
        recipient = told.get("recipient") or told.get("shortcode", "")
        external_id = told.get("id") or told.get("mid")
        if "status" in told or not (sender and recipient and external_id):
            return []
        read = Inbound(
            key=key_of("messagebird", external_id, sender, recipient),
            kind=InboundKind.MESSAGE,
            channel=Channel.SMS,
            sender=international(sender),
            recipient=international(recipient),
            text=told.get("body") or told.get("message", ""),
            received_at=_time(told.get("createdDatetime") or told.get("receive_datetime", ""))
            or request.received_at,
            external_id=external_id,
            media=_media(request.body),
        )
        return [read]


def facts_of(told: Mapping[str, str], at: datetime) -> list[Fact]:
    """Read what became of one recipient's text; `at` stands for the time where none is told."""
    status, recipient = told.get("status", ""), told.get("recipient", "")
    tag, external_id = Tag.parse(told.get("reference")), told.get("id") or None
    if not status or not recipient or not (tag or external_id):
        return []
    code, when = told.get("statusErrorCode", ""), _time(told.get("statusDatetime", ""))
    fact = Fact(
        key=key_of("messagebird", external_id or tag, recipient, status, code, when),
        event_type=EventType.FAILED,
        occurred_at=when or at,
        tag=tag,
        external_id=external_id,
        code=code_in_short(code or status),
        detail=in_short(told.get("statusReason", ""), without=[recipient]),
    )
    return ended(fact, _ending(status, code))


def _ending(status: str, code: str) -> Ending:
    return ending_of(code) if status == _FAILED else _ENDINGS.get(status, UNDECIDED)


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def _body(body: bytes) -> Mapping[str, str]:
    if body.lstrip().startswith(b"{"):
        read = {name: identifier(value) for name, value in json_object(body).items()}
        return {name: value for name, value in read.items() if value is not None}
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def _media(body: bytes) -> tuple[str, ...]:
    return tuple(url for url in listed(json_object(body), "mediaUrls") if isinstance(url, str))


def _time(text: str) -> datetime | None:
    if _COMPACT_TIME.fullmatch(text):
        text = f"{text[:8]}T{text[8:]}"
    # The zone's plus stands in the address as it is, and was read as a blank.
    found = moment(text.replace(" ", "+"))
    return found.astimezone(UTC) if found else None
