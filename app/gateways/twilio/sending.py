"""What all that goes out through a Twilio account has in common: one request a message, one way to read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.errors import Invalid
from app.gateways.answers import json_object, words
from app.gateways.base import Envelope, HttpRequest, HttpResponse
from app.gateways.probing import outcome_by_status, refused_account
from app.gateways.twilio.account import Account
from app.gateways.twilio.parties import bare
from app.gateways.twilio.reading import outcome_of
from app.settings import Settings

_INACTIVE = frozenset({"suspended", "closed"})

Form = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class OfAccount(ABC):
    """One channel of one account; what is made by a request stands in the account under `resource`."""

    account: Account
    batch: int = 1
    resource: ClassVar[str]

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        account = Account.configured(settings)
        return cls(account=account) if account else None

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the request for one message; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        return self.account.post(self.resource, self.form(message, now))

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        return [outcome_of(response, without=[message.address, bare(message.sender)])]

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — Twilio takes no time; the protocol gives one.
        """Ask about the account."""
        return self.account.ask()

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the account is active."""
        outcome = outcome_by_status(response)
        status = words(json_object(response.body), "status")
        if outcome.kind is OutcomeClass.ACCEPTED and status in _INACTIVE:
            return refused_account(status, "the account is not active")
        return outcome

    @abstractmethod
    def form(self, message: Envelope, now: datetime) -> Form:
        """Say what is to be sent in Twilio's own fields."""

    @abstractmethod
    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Twilio would refuse or drop."""


def options_of(message: Envelope) -> Mapping[str, Any]:
    """Give what the caller asked of the message's own channel."""
    found = message.options.get(message.channel.value)
    return found if isinstance(found, Mapping) else {}
