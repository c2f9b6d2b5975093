"""Bounces and complaints that come back by mail, as the organisation's own mail server hands them to us."""

import hmac
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Self

from app.domain.facts import Fact
from app.errors import Forged, ProofMissing
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.email.smtp.bounces import facts_of
from app.settings import Settings

_SIGNATURE_HEADER = "x-tocsin-signature"
_SCHEME = "sha256="


@dataclass(frozen=True, kw_only=True, slots=True)
class SmtpWebhook(QuietWebhook):
    """Takes one mail a request, as it came (message/rfc822).

    It is proven by one of the `secrets`: as the password of HTTP Basic under any name, or by
    `X-Tocsin-Signature: sha256=…`, the HMAC of the body in hexadecimal.
    """

    secrets: tuple[str, ...] = field(repr=False)
    name: str = "smtp"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None without a secret."""
        secrets = tuple(filter(None, (each.get_secret_value() for each in settings.smtp_webhook_secrets)))
        return cls(secrets=secrets) if secrets else None

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — neither comes with a mail.
        """Return where one of the secrets proves the request; raises Forged, ProofMissing without a proof.

        What is told twice is found by the facts' keys.
        """
        signature = request.headers.get(_SIGNATURE_HEADER)
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if signature is not None:
            self._check([_signed(secret, request.body) for secret in self.secrets], signature.strip().lower())
        elif scheme.lower() == "basic":
            self._check(self.secrets, _password(credentials))
        else:
            raise ProofMissing("credentials missing")

    def _check(self, believed: Sequence[str], given: str) -> None:
        # All are compared, so that the time it takes does not tell which of them fits.
        fits = [hmac.compare_digest(each.encode(), given.encode()) for each in believed]
        if not any(fits):
            raise Forged("secret")

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the fact of the mail, if it is one about a mail of ours."""
        return facts_of(request.body, request.received_at)


def _signed(secret: str, body: bytes) -> str:
    return _SCHEME + hmac.new(secret.encode(), body, sha256).hexdigest()


def _password(credentials: str) -> str:
    try:
        return b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except ValueError as exc:
        raise Forged("credentials' encoding") from exc
