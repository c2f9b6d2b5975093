"""What Amazon SES tells us afterwards, by way of Amazon SNS."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from app.domain.facts import Fact
from app.errors import Forged
from app.gateways.answers import json_object
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.email.ses.events import facts_of
from app.gateways.email.ses.sns import NOTIFICATION, SUBSCRIPTION, Origins, Sealed
from app.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class SesWebhook(QuietWebhook):
    """SES's events over SNS, from the topics that are ours.

    Anyone can point a topic of their own at us, and Amazon signs for it: only the list of topics
    keeps it out.
    """

    topics: frozenset[str]
    origins: Origins
    name: str = "ses"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they name no topic."""
        if not settings.ses_sns_topic_arns:
            return None
        other = settings.ses_sns_cert_origin
        return cls(
            topics=frozenset(settings.ses_sns_topic_arns),
            origins=Origins(other=other.rstrip("/") if other else None),
        )

    def key_url(self, request: WebhookRequest) -> str:
        """Name the certificate's address, once topic and address are found allowed; raises Forged."""
        return self._allowed(Sealed.read(request))

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:
        """Return where topic, address and signature hold; `key` is the certificate in PEM."""
        sealed = Sealed.read(request)
        self._allowed(sealed)
        sealed.check_seal(key, now)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the facts of a proven notification, one a recipient.

        The plain text by which SES tries out a topic has none, nor do confirmations.
        """
        try:
            sealed = Sealed.read(request)
        except Forged:
            return []
        if sealed.kind != NOTIFICATION:
            return []
        return facts_of(json_object(sealed.values["Message"]), sealed.values)

    def confirmation_url(self, request: WebhookRequest) -> str | None:
        """Give the address that confirms a proven subscription.

        Raises Forged where it is not Amazon's. The end of a subscription asks for nothing: the
        address in it would begin the subscription again.
        """
        # Asked of every notification, of which hardly any is one.
        if SUBSCRIPTION.encode() not in request.body:
            return None
        sealed = Sealed.read(request)
        self._allowed(sealed)
        if sealed.kind != SUBSCRIPTION:
            return None
        return self.origins.confirmation(sealed.values["SubscribeURL"], sealed.topic)

    def _allowed(self, sealed: Sealed) -> str:
        if sealed.topic not in self.topics:
            raise Forged("topic")
        return self.origins.certificate(sealed.certificate_url, sealed.topic)
