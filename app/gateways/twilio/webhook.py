"""What Twilio tells us: how messages and calls fared, what people wrote, which keys they pressed."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from app.domain.facts import Fact, Inbound
from app.gateways.base import QuietWebhook, WebhookAnswer, WebhookRequest
from app.gateways.twilio import calls, texts
from app.gateways.twilio.account import tokens_of
from app.gateways.twilio.callbacks import Step
from app.gateways.twilio.proof import check_signature
from app.gateways.twilio.told import Told, told_by
from app.gateways.twilio.twiml import NOTHING
from app.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class TwilioWebhook(QuietWebhook):
    """Twilio's callbacks about all of its channels, proven with one of the account's auth tokens."""

    tokens: tuple[str, ...] = field(repr=False)
    name: str = "twilio"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where no token could prove anything."""
        tokens = tokens_of(settings)
        return cls(tokens=tokens) if tokens else None

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — settings hold the tokens, and nothing signed holds a time.
        """Return where one of the tokens has signed the request; raise Forged otherwise."""
        check_signature(request, self.tokens)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read what a proven request says of a message or a call of ours; often one fact, or none."""
        told = told_by(request)
        return calls.facts(told) if told.said.get("CallSid") else texts.facts(told)

    def inbound(self, request: WebhookRequest) -> list[Inbound]:
        """Read what somebody wrote, or the keys that they pressed."""
        told = told_by(request)
        found = calls.pressed(told) if told.said.get("CallSid") else texts.received(told)
        return [found] if found else []

    def answer(self, request: WebhookRequest) -> WebhookAnswer | None:
        """Say in TwiML what Twilio is to do next in a call; everywhere else that is nothing."""
        return WebhookAnswer(body=self._twiml(told_by(request)).encode(), content_type="text/xml")

    def _twiml(self, told: Told) -> str:
        if told.step is Step.DIGITS:
            return calls.after_keys(told)
        if told.step is Step.ANSWERED:
            return calls.after_answering(told, self.tokens)
        return NOTHING
