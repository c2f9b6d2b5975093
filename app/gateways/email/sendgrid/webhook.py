"""What SendGrid tells us afterwards: arrays of events, signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from app.domain.facts import Fact
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.email.sendgrid.events import facts_of
from app.gateways.email.sendgrid.proof import check_signature, key_of_settings
from app.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class SendGridWebhook(QuietWebhook):
    """SendGrid's event webhook, proven by any of the keys: there are two while one is replaced."""

    keys: tuple[EllipticCurvePublicKey, ...]
    name: str = "sendgrid"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they name no key."""
        if not settings.sendgrid_webhook_public_keys:
            return None
        return cls(keys=tuple(map(key_of_settings, settings.sendgrid_webhook_public_keys)))

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — settings hold the keys.
        """Return where the signature holds over the raw body, its last line break included."""
        check_signature(request.headers, request.body, self.keys, now)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the facts of a proven request; an element that cannot be read keeps no other back."""
        try:
            told = orjson.loads(request.body)
        except ValueError:
            return []
        elements = told if isinstance(told, list) else [told]
        return [fact for element in elements for fact in facts_of(element)]
