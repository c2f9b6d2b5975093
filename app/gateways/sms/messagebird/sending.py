"""Texts through MessageBird's REST API: one recipient a request, so each message has its own id."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import identifier, in_short, json_object, listed, wait_asked_for, words
from app.gateways.base import Envelope, HttpRequest, HttpResponse, Inquiry, Sighting
from app.gateways.probing import PROBE_TIMEOUT, outcome_by_status, refused_account
from app.gateways.sms.messagebird import inquiries
from app.gateways.sms.texts import sender_of, unsendable
from app.settings import Settings

_ORIGIN = "https://rest.messagebird.com"

Meaning = tuple[OutcomeClass, ConfigScope | None]

_ACCOUNT: Meaning = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER: Meaning = (OutcomeClass.CONFIG, ConfigScope.SENDER)
_RECIPIENT: Meaning = (OutcomeClass.RECIPIENT, None)
_CONTENT: Meaning = (OutcomeClass.CONTENT, None)
_THROTTLE: Meaning = (OutcomeClass.THROTTLE, None)
_TRANSIENT: Meaning = (OutcomeClass.TRANSIENT, None)
_UNKNOWN: Meaning = (OutcomeClass.UNKNOWN, None)

_MEANING: dict[str, Meaning] = {
    "2": _ACCOUNT,  # not allowed: the access key
    "20": _ACCOUNT,  # not found
    "25": _ACCOUNT,  # no balance
    "98": _TRANSIENT,
    "99": _TRANSIENT,
}
# A parameter that is missing or wrong; which one says whose fault it is.
_ABOUT_A_PARAMETER = frozenset({"9", "10"})
_MEANING_OF_PARAMETER: dict[str, Meaning] = {
    "recipients": _RECIPIENT,
    "recipient": _RECIPIENT,
    "originator": _SENDER,
}

# Without a code that is known. Of 500, 502 and 504 nobody knows whether the message was taken before.
_MEANING_OF_STATUS: dict[int, Meaning] = {
    401: _ACCOUNT,
    404: _ACCOUNT,
    405: _ACCOUNT,
    422: _CONTENT,
    429: _THROTTLE,
    503: _TRANSIENT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageBird:
    """One MessageBird account; `report_url` is where it is to tell what becomes of messages."""

    url: str = _ORIGIN
    access_key: str = field(repr=False)
    report_url: str | None = None
    timeout: timedelta = timedelta(seconds=15)
    name: str = "messagebird"
    channel: Channel = Channel.SMS
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        if not settings.messagebird_access_key:
            if settings.messagebird_url:
                raise ConfigurationError("MessageBird also needs MESSAGEBIRD_ACCESS_KEY; set it, or no URL.")
            return None
        base = settings.public_base_url
        return cls(
            url=(settings.messagebird_url or _ORIGIN).rstrip("/"),
            access_key=settings.messagebird_access_key.get_secret_value(),
            report_url=f"{base.rstrip('/')}/webhooks/messagebird" if base else None,
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the request for one message; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        return HttpRequest(
            url=f"{self.url}/messages",
            headers={"Content-Type": "application/json", "Authorization": f"AccessKey {self.access_key}"},
            body=orjson.dumps(self._parameters(message, now)),
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        answer = json_object(response.body)
        external_id = identifier(answer.get("id"))
        if response.status == 201 and external_id:  # noqa: PLR2004 — the only success there is.
            return [Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)]
        error = next((each for each in listed(answer, "errors") if isinstance(each, dict)), {})
        kind, scope = _meaning(response.status, error)
        # A number may be repeated with or without its plus.
        said = in_short(words(error, "description"), without=[message.address, message.address[1:]])
        outcome = Outcome(
            kind=kind,
            scope=scope,
            code=identifier(error.get("code")) or f"http_{response.status}",
            detail=said,
            retry_after=wait_asked_for(response.headers) if kind == OutcomeClass.THROTTLE else None,
        )
        return [outcome]

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — MessageBird takes no time; the protocol gives one.
        """Ask for the balance."""
        return HttpRequest(
            url=f"{self.url}/balance",
            headers={"Authorization": f"AccessKey {self.access_key}"},
            body=b"",
            method="GET",
            timeout=PROBE_TIMEOUT,
        )

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the key is known, and something is left of what was paid ahead."""
        outcome, answer = outcome_by_status(response), json_object(response.body)
        amount = answer.get("amount")
        empty = isinstance(amount, (int, float)) and amount <= 0
        if outcome.kind is OutcomeClass.ACCEPTED and empty and words(answer, "payment") == "prepaid":
            return refused_account("no_balance", "the prepaid balance is used up")
        return outcome

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what MessageBird would drop: its texts have no pictures, templates or highest price."""
        return unsendable(message, media=False)

    def inquire(self, inquiry: Inquiry) -> HttpRequest:
        """Ask for what bears the name of the try."""
        return HttpRequest(
            method="GET",
            url=f"{self.url}/messages?{inquiries.query_for(inquiry)}",
            headers={"Authorization": f"AccessKey {self.access_key}"},
            body=b"",
            timeout=self.timeout,
        )

    def sightings(self, inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
        """Find what bears the name of the try."""
        return inquiries.sightings(inquiry, response)

    def _parameters(self, message: Envelope, now: datetime) -> dict[str, Any]:
        parameters = {
            "originator": sender_of(message).removeprefix("+"),
            "body": message.text,
            "recipients": [message.address.removeprefix("+")],
            "reference": str(message.tag),
            "reportUrl": self.report_url,
            "type": "sms",
            "datacoding": "auto",
            "validity": _seconds_left(message.expires_at, now),
        }
        return {name: value for name, value in parameters.items() if value}


def _seconds_left(expires_at: datetime | None, now: datetime) -> int | None:
    return None if expires_at is None else max(1, int((expires_at - now).total_seconds()))


def _meaning(status: int, error: dict[str, Any]) -> Meaning:
    code = identifier(error.get("code"))
    if code in _ABOUT_A_PARAMETER:
        return _MEANING_OF_PARAMETER.get(words(error, "parameter"), _CONTENT)
    return _MEANING.get(code or "") or _MEANING_OF_STATUS.get(status, _UNKNOWN)
