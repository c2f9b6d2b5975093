"""Texts through Bird's Channels API: one recipient a request, by the channel that the sender belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, ConfigScope, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import code_in_short, identifier, in_short, json_object, wait_asked_for, words
from app.gateways.base import Envelope, HttpRequest, HttpResponse
from app.gateways.probing import PROBE_TIMEOUT, outcome_by_status
from app.gateways.sms.bird.channels import channels_of
from app.gateways.sms.texts import sender_of, unsendable
from app.settings import Settings

_ORIGIN = "https://api.bird.com"
_NEEDED = ("BIRD_ACCESS_KEY", "BIRD_WORKSPACE_ID", "BIRD_CHANNELS")

Meaning = tuple[OutcomeClass, ConfigScope | None]

_ACCOUNT: Meaning = (OutcomeClass.CONFIG, ConfigScope.ACCOUNT)
_SENDER: Meaning = (OutcomeClass.CONFIG, ConfigScope.SENDER)
_CONTENT: Meaning = (OutcomeClass.CONTENT, None)

# Bird documents no codes. A 404 is about the channel in the address, which is the sender's own.
_MEANING_OF_STATUS: dict[int, Meaning] = {
    400: _CONTENT,
    401: _ACCOUNT,
    402: _ACCOUNT,
    403: _ACCOUNT,
    404: _SENDER,
    422: _CONTENT,
    429: (OutcomeClass.THROTTLE, None),
    503: (OutcomeClass.TRANSIENT, None),
}
_UNKNOWN: Meaning = (OutcomeClass.UNKNOWN, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bird:
    """One workspace at Bird; `channels` are its SMS channels by the sender that each has."""

    url: str = _ORIGIN
    workspace: str
    channels: Mapping[str, str]
    access_key: str = field(repr=False)
    timeout: timedelta = timedelta(seconds=15)
    name: str = "bird"
    channel: Channel = Channel.SMS
    batch: int = 1

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        key, workspace = settings.bird_access_key, settings.bird_workspace_id
        # Channels alone are for webhooks.
        if not key and not workspace:
            return None
        given = (key, workspace, settings.bird_channels)
        missing = [name for name, value in zip(_NEEDED, given, strict=True) if not value]
        if not key or not workspace or missing:
            raise ConfigurationError(f"Bird also needs {', '.join(missing)}; set all of them or none.")
        return cls(
            url=(settings.bird_url or _ORIGIN).rstrip("/"),
            workspace=workspace,
            channels=channels_of(settings.bird_channels),
            access_key=key.get_secret_value(),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:  # noqa: ARG002 — Bird takes no time; the protocol gives one.
        """Make the request for one message; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        channel = self.channels[sender_of(message)]
        return HttpRequest(
            url=f"{self.url}/workspaces/{self.workspace}/channels/{channel}/messages",
            headers={"Content-Type": "application/json", "Authorization": f"AccessKey {self.access_key}"},
            body=orjson.dumps(_parameters(message)),
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        answer = json_object(response.body)
        external_id = identifier(answer.get("id"))
        if response.status == 202 and external_id:  # noqa: PLR2004 — the only success there is.
            return [Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)]
        kind, scope = _MEANING_OF_STATUS.get(response.status, _UNKNOWN)
        outcome = Outcome(
            kind=kind,
            scope=scope,
            code=code_in_short(words(answer, "code")) or f"http_{response.status}",
            detail=in_short(words(answer, "message"), without=[message.address]),
            retry_after=wait_asked_for(response.headers) if kind == OutcomeClass.THROTTLE else None,
        )
        return [outcome]

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — Bird takes no time; the protocol gives one.
        """Ask about one of our channels."""
        channel = next(iter(self.channels.values()))
        return HttpRequest(
            url=f"{self.url}/workspaces/{self.workspace}/channels/{channel}",
            headers={"Authorization": f"AccessKey {self.access_key}"},
            body=b"",
            method="GET",
            timeout=PROBE_TIMEOUT,
        )

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the key is known."""
        return outcome_by_status(response)

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Bird would drop; a sender without a channel of its own would be another sender."""
        if fault := unsendable(message, media=False):
            return fault
        if sender_of(message) not in self.channels:
            return "a sender without a channel"
        return None


def _parameters(message: Envelope) -> dict[str, object]:
    contact = {"identifierKey": "phonenumber", "identifierValue": message.address}
    return {
        "receiver": {"contacts": [contact]},
        "body": {"type": "text", "text": {"text": message.text}},
        "reference": str(message.tag),
    }
