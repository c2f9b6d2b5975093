"""Push to Apple's devices through APNs: one notification a request, many at once over HTTP/2."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import identifier
from app.gateways.base import Envelope, HttpRequest, HttpResponse
from app.gateways.push.apns.notification import excesses, headers, payload
from app.gateways.push.apns.provider_token import ProviderTokens, key_of
from app.gateways.push.apns.refusals import (
    EXPIRED_TOKEN,
    TOKEN_CHANGED_TOO_OFTEN,
    RefusedTokens,
    reason,
    refusal,
)
from app.gateways.push.credentials import InFlight, contents
from app.settings import Settings

_URL = "https://api.push.apple.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class Apns:
    """One app of one team, in one of Apple's two environments. `topic` is the app's bundle id."""

    topic: str
    tokens: ProviderTokens = field(repr=False)
    url: str = _URL
    timeout: timedelta = timedelta(seconds=15)
    name: str = "apns"
    channel: Channel = Channel.PUSH
    batch: int = 1
    in_flight: InFlight = field(default_factory=InFlight, repr=False, compare=False)
    refused_tokens: RefusedTokens = field(default_factory=RefusedTokens, repr=False, compare=False)

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None where they describe none."""
        needed = {
            "APNS_TEAM_ID": settings.apns_team_id,
            "APNS_KEY_ID": settings.apns_key_id,
            "APNS_KEY": settings.apns_key and settings.apns_key.get_secret_value(),
            "APNS_TOPIC": settings.apns_topic,
        }
        if not any(needed.values()):
            return None
        team, key_id, key, topic = needed.values()
        if not (team and key_id and key and topic):
            missing = ", ".join(name for name, value in needed.items() if not value)
            raise ConfigurationError(f"APNs is half configured: it also needs {missing}.")
        return cls(
            topic=topic,
            tokens=ProviderTokens(team=team, key_id=key_id, key=key_of(contents(key, "APNS_KEY"))),
            url=(settings.apns_url or _URL).rstrip("/"),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:
        """Make the request for one notification; raises Invalid where `cannot_express` names something."""
        (message,) = messages
        if fault := self.cannot_express(message):
            raise Invalid.of("message", fault)
        token = self.tokens.current(now)
        self.in_flight.went_out(message.tag, token.issued_at)
        return HttpRequest(
            url=f"{self.url}/3/device/{message.address.lower()}",
            body=orjson.dumps(payload(message)),
            headers={"authorization": f"bearer {token.text}", **headers(message, self.topic, now)},
            timeout=self.timeout,
            http2=True,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for the one notification.

        `as_of` of a token that is gone says since when: a registration that is newer still holds.
        """
        (message,) = messages
        used = self.in_flight.came_back(message.tag)
        accepted = response.status == 200  # noqa: PLR2004 — OK, the only status of success here.
        code = "" if accepted else reason(response)
        widespread = self.refused_tokens.heard(code)
        if accepted:
            return [_accepted(response)]
        if code == TOKEN_CHANGED_TOO_OFTEN:
            self.tokens.changed_too_often()
        renewed = code == EXPIRED_TOKEN and self.tokens.expired(used)
        return [refusal(response, token_renewed=renewed, widespread=widespread)]

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what Apple would not take: another's token, a trial, too many bytes."""
        return next(excesses(message), None)


def _accepted(response: HttpResponse) -> Outcome:
    external_id = identifier(response.headers.get("apns-id"))
    if external_id is None:
        return Outcome(kind=OutcomeClass.UNKNOWN, code="http_200", detail="names no notification")
    return Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id)
