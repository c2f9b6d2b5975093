"""Push through Firebase Cloud Messaging, by version 1 of its HTTP API: one message a request."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

import orjson

from app.domain.facts import Tag
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass, Priority
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import identifier, json_object
from app.gateways.base import Envelope, HttpFailure, HttpRequest, HttpResponse
from app.gateways.probing import PROBE_TIMEOUT, WELL
from app.gateways.push.credentials import InFlight
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.gateways.push.fcm.message import body, excesses, is_dry_run
from app.gateways.push.fcm.refusals import is_about_our_token, refusal
from app.gateways.transport import Transport
from app.settings import Settings

_URL = "https://fcm.googleapis.com"
_NOTHING = Envelope(
    tag=Tag(uuid=UUID(int=0), priority=Priority.P4, attempt=1),
    channel=Channel.PUSH,
    address="topic:tocsin-probe",
    sender="",
    text="dry run",
    options={"platform": "fcm", "push": {"dry_run": True}},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fcm:
    """One Firebase project. `tokens` are asked for each request, so that they may be renewed."""

    project: str
    tokens: AccessTokens = field(repr=False)
    url: str = _URL
    timeout: timedelta = timedelta(seconds=15)
    name: str = "fcm"
    channel: Channel = Channel.PUSH
    batch: int = 1
    in_flight: InFlight = field(default_factory=InFlight, repr=False, compare=False)

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None without a service account."""
        if not settings.fcm_service_account:
            if settings.fcm_url or settings.fcm_token_url:
                raise ConfigurationError(
                    "FCM_URL and FCM_TOKEN_URL are of no use without FCM_SERVICE_ACCOUNT."
                )
            return None
        account = ServiceAccount.read(settings.fcm_service_account.get_secret_value())
        return cls(
            project=account.project,
            tokens=AccessTokens(account, fetched, url=settings.fcm_token_url),
            url=(settings.fcm_url or _URL).rstrip("/"),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the request for one message, with an access token where Google gives us one.

        Raises Invalid where `cannot_express` names something.
        """
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        token = self.tokens.current(now)
        self.in_flight.went_out(message.tag, token.number)
        return HttpRequest(
            url=f"{self.url}/v1/projects/{self.project}/messages:send",
            body=orjson.dumps(body(message, now)),
            headers=token.headers | {"Content-Type": "application/json"},
            timeout=self.timeout,
            http2=True,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one message."""
        (message,) = messages
        used = self.in_flight.came_back(message.tag)
        if response.status == 200:  # noqa: PLR2004 — OK, the only status of success here.
            self.tokens.worked(used)
            return [_accepted(message, response)]
        renewed = is_about_our_token(response) and self.tokens.refused(used)
        return [refusal(message, response, token_renewed=renewed)]

    def probe(self, now: datetime) -> HttpRequest:
        """Give a notification for a topic of nobody to be looked at only."""
        return replace(self.build([_NOTHING], now), timeout=PROBE_TIMEOUT)

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the service account may send."""
        (outcome,) = self.read([_NOTHING], response)
        return WELL if outcome.kind is OutcomeClass.ACCEPTED else outcome

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what FCM would not take: reserved keys, too many bytes, a token that Apple issued."""
        return next(excesses(message), None)


def fetched(request: HttpRequest) -> HttpResponse | HttpFailure:
    """Carry out a request that comes once in an hour, on a connection of its own."""
    transport = Transport(concurrency=1)
    try:
        return transport.fetch(request)
    finally:
        transport.close()


def _accepted(message: Envelope, response: HttpResponse) -> Outcome:
    name = identifier(json_object(response.body).get("name"))
    if name is None:
        return Outcome(kind=OutcomeClass.UNKNOWN, code="http_200", detail="names no message")
    # All dry runs have the same name.
    return Outcome(
        kind=OutcomeClass.ACCEPTED,
        external_id=None if is_dry_run(message) else name,
        code="dry_run" if is_dry_run(message) else "",
    )
