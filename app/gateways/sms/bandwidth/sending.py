"""Texts through Bandwidth's Messaging API: one recipient a request, since several make a group chat."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import (
    code_in_short,
    identifier,
    in_short,
    json_object,
    listed,
    wait_asked_for,
    words,
)
from app.gateways.base import Envelope, HttpRequest, HttpResponse, Inquiry, Sighting
from app.gateways.probing import PROBE_TIMEOUT, outcome_by_status
from app.gateways.sms.bandwidth import inquiries
from app.gateways.sms.texts import URGENT, media_of, sender_of, unsendable
from app.settings import Settings

_ORIGIN = "https://messaging.bandwidth.com"
_LONGEST_TEXT = 2048
_LONGEST_MEDIA_URL = 4096

Meaning = tuple[OutcomeClass, ConfigScope | None]

_ACCOUNT: Meaning = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER: Meaning = (OutcomeClass.CONFIG, ConfigScope.SENDER)
_RECIPIENT: Meaning = (OutcomeClass.RECIPIENT, None)
_CONTENT: Meaning = (OutcomeClass.CONTENT, None)
_THROTTLE: Meaning = (OutcomeClass.THROTTLE, None)
_TRANSIENT: Meaning = (OutcomeClass.TRANSIENT, None)
_UNKNOWN: Meaning = (OutcomeClass.UNKNOWN, None)

# 406 and 415 would be mistakes of ours that every message shares.
_MEANING_OF_STATUS: dict[int, Meaning] = {
    401: _ACCOUNT,
    403: _ACCOUNT,
    404: _ACCOUNT,
    406: _ACCOUNT,
    415: _ACCOUNT,
    429: _THROTTLE,
}

# What Bandwidth itself answers so was not sent. A proxy's page says that it stopped waiting, and no more.
_WAITED_IN_VAIN = frozenset({502, 504})

# In the order in which they count: what is wrong on our side says nothing about the recipient.
_MEANING_OF_FIELD: dict[str, Meaning] = {"applicationId": _ACCOUNT, "from": _SENDER, "to": _RECIPIENT}

_NEEDED = ("BANDWIDTH_ACCOUNT_ID", "BANDWIDTH_APPLICATION_ID", "BANDWIDTH_USERNAME", "BANDWIDTH_PASSWORD")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bandwidth:
    """One messaging application of a Bandwidth account; `authorization` is the whole header."""

    endpoint: str
    application: str
    authorization: str = field(repr=False)
    timeout: timedelta = timedelta(seconds=15)
    name: str = "bandwidth"
    channel: Channel = Channel.SMS
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        account, application = settings.bandwidth_account_id, settings.bandwidth_application_id
        username, password = settings.bandwidth_username, settings.bandwidth_password
        if not (account or application or username or password):
            return None
        if not (account and application and username and password):
            given = (account, application, username, password)
            missing = [name for name, value in zip(_NEEDED, given, strict=True) if not value]
            raise ConfigurationError(f"Bandwidth also needs {', '.join(missing)}; set all of them or none.")
        origin = (settings.bandwidth_url or _ORIGIN).rstrip("/")
        credentials = f"{username}:{password.get_secret_value()}".encode()
        return cls(
            endpoint=f"{origin}/api/v2/users/{account}/messages",
            application=application,
            authorization=f"Basic {b64encode(credentials).decode()}",
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:  # noqa: ARG002 — Bandwidth takes the end of validity as a time.
        """Make the request for one message; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        return HttpRequest(
            url=self.endpoint,
            headers={"Content-Type": "application/json", "Authorization": self.authorization},
            body=orjson.dumps(self._parameters(message)),
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means; what is answered with 4xx or 5xx is documented as not sent."""
        (message,) = messages
        answer = json_object(response.body)
        external_id = identifier(answer.get("id"))
        if response.status == 202 and external_id:  # noqa: PLR2004 — the only success there is.
            return [Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)]
        kind, scope = _meaning(response.status, answer)
        said = " ".join(filter(None, [words(answer, "description"), *_field_faults(answer)]))
        outcome = Outcome(
            kind=kind,
            scope=scope,
            code=code_in_short(words(answer, "type")) or f"http_{response.status}",
            detail=in_short(said, without=[message.address]),
            retry_after=wait_asked_for(response.headers) if kind == OutcomeClass.THROTTLE else None,
        )
        return [outcome]

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — Bandwidth takes no time; the protocol gives one.
        """Ask what media the account has put there."""
        return HttpRequest(
            url=f"{self.endpoint.removesuffix('messages')}media",
            headers={"Authorization": self.authorization},
            body=b"",
            method="GET",
            timeout=PROBE_TIMEOUT,
        )

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the user is known."""
        return outcome_by_status(response)

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Bandwidth would drop or refuse: it has neither content templates nor a highest price."""
        if fault := unsendable(message, media=True):
            return fault
        if len(message.text or "") > _LONGEST_TEXT:
            return f"more than {_LONGEST_TEXT} characters"
        if any(len(url) > _LONGEST_MEDIA_URL for url in media_of(message)):
            return "the length of a media address"
        return None

    def inquire(self, inquiry: Inquiry) -> HttpRequest:
        """Ask for what went to the number at the time."""
        return HttpRequest(
            method="GET",
            url=f"{self.endpoint}?{inquiries.query_for(inquiry)}",
            headers={"Authorization": self.authorization},
            body=b"",
            timeout=self.timeout,
        )

    def sightings(self, inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
        """Find what went to the number at the time and is as long."""
        return inquiries.sightings(inquiry, response)

    def _parameters(self, message: Envelope) -> dict[str, Any]:
        expires_at = message.expires_at
        parameters = {
            "applicationId": self.application,
            "to": [message.address],
            "from": sender_of(message),
            "text": message.text,
            "media": list(media_of(message)),
            "tag": str(message.tag),
            "priority": "high" if message.tag.priority in URGENT else "default",
            "expiration": expires_at and f"{expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        return {name: value for name, value in parameters.items() if value}


def _meaning(status: int, answer: dict[str, Any]) -> Meaning:
    if status == 400:  # noqa: PLR2004 — the one status whose body is looked at.
        return _meaning_of_refusal(answer)
    if status in _MEANING_OF_STATUS:
        return _MEANING_OF_STATUS[status]
    if status in _WAITED_IN_VAIN and not words(answer, "type"):
        return _UNKNOWN
    return _TRANSIENT if 400 <= status < 600 else _UNKNOWN  # noqa: PLR2004 — HTTP's own borders.


def _meaning_of_refusal(answer: dict[str, Any]) -> Meaning:
    if not words(answer, "type"):
        # Not Bandwidth's words: something between us and it did not let the request through.
        return _TRANSIENT
    wrong = {words(fault, "fieldName").partition("[")[0] for fault in _faults(answer)}
    return next((meaning for name, meaning in _MEANING_OF_FIELD.items() if name in wrong), _CONTENT)


def _faults(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [fault for fault in listed(answer, "fieldErrors") if isinstance(fault, dict)]


def _field_faults(answer: dict[str, Any]) -> list[str]:
    return [f"{words(fault, 'fieldName')}: {words(fault, 'description')}" for fault in _faults(answer)]
