"""What our own apps report: neither FCM nor APNs tells us what becomes of a notification.

An app finds our tag in the data that it receives, under the name `tocsin`, and reports it, by way of a
Firebase function or any other server of ours, which signs.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

import orjson

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType
from app.errors import Forged
from app.gateways.answers import key_of, moment, part, words
from app.gateways.base import QuietWebhook, WebhookRequest
from app.settings import Settings

_TIMESTAMP = "x-tocsin-timestamp"
_SIGNATURE = "x-tocsin-signature"
_SCHEME = "sha256="
# So long may a report be under way, or clocks differ.
_TOLERANCE = timedelta(minutes=5)
_LONGEST_TIMESTAMP = 12

_EVENTS = {"delivered": EventType.DELIVERED, "opened": EventType.OPENED}


@dataclass(frozen=True, kw_only=True, slots=True)
class FirebaseWebhook(QuietWebhook):
    """Reports of our apps: a JSON array of {"tag", "event": "delivered" or "opened", "at"}.

    `X-Tocsin-Timestamp` is the time of sending in seconds since 1970, `X-Tocsin-Signature` is `sha256=`
    and the hexadecimal HMAC-SHA256, under one of `secrets`, of that timestamp, a full stop and the raw
    body. `at` is when it happened, in ISO 8601 or in seconds since 1970.
    """

    secrets: Sequence[str] = field(repr=False)
    name: str = "firebase"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they hold no secret."""
        secrets = tuple(secret.get_secret_value() for secret in settings.firebase_webhook_secrets)
        return cls(secrets=secrets) if secrets else None

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — settings hold the keys.
        """Return where the signature holds and is of these minutes; raise Forged otherwise."""
        timestamp = request.headers.get(_TIMESTAMP, "")
        if abs(now - _read(timestamp)) > _TOLERANCE:
            raise Forged("timestamp")
        signed = timestamp.encode() + b"." + request.body
        given = request.headers.get(_SIGNATURE, "").encode()
        if not any(hmac.compare_digest(given, _signature(secret, signed)) for secret in self.secrets):
            raise Forged("signature")

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the facts of a proven request, each once however often it is reported."""
        try:
            reports = orjson.loads(request.body)
        except ValueError:
            return []
        facts = [_fact(part(each)) for each in reports] if isinstance(reports, list) else []
        return [fact for fact in facts if fact]


def _read(timestamp: str) -> datetime:
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > _LONGEST_TIMESTAMP:
        raise Forged("timestamp")
    try:
        return datetime.fromtimestamp(int(timestamp), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise Forged("timestamp") from exc


def _signature(secret: str, signed: bytes) -> bytes:
    return _SCHEME.encode() + hmac.digest(secret.encode(), signed, "sha256").hex().encode()


def _fact(report: dict[str, object]) -> Fact | None:
    tag, event_type = Tag.parse(words(report, "tag")), _EVENTS.get(words(report, "event"))
    occurred_at = moment(report.get("at"))
    if tag is None or event_type is None or occurred_at is None:
        return None
    return Fact(
        key=key_of("firebase", tag, event_type), event_type=event_type, occurred_at=occurred_at, tag=tag
    )
