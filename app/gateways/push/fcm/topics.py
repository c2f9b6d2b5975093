"""Who is subscribed to which of FCM's topics: many registration tokens a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import Invalid
from app.gateways.answers import code_in_short, json_object, listed, part, wait_asked_for, words
from app.gateways.base import HttpRequest, HttpResponse
from app.gateways.push.fcm.access import AccessTokens, ServiceAccount
from app.gateways.push.fcm.sending import fetched
from app.settings import Settings

MOST_TOKENS = 1000

_URL = "https://iid.googleapis.com"
_NAME = re.compile(r"[A-Za-z0-9_.~%-]{1,900}")
_UNAUTHORIZED = 401

_OF_TOKEN: dict[str, OutcomeClass] = {
    "NOT_FOUND": OutcomeClass.RECIPIENT,
    "INVALID_ARGUMENT": OutcomeClass.RECIPIENT,
    "TOO_MANY_TOPICS": OutcomeClass.CONTENT,
    "RESOURCE_EXHAUSTED": OutcomeClass.THROTTLE,
    "INTERNAL": OutcomeClass.TRANSIENT,
}
_OF_STATUS: dict[int, OutcomeClass] = {
    400: OutcomeClass.CONTENT,
    401: OutcomeClass.CONFIG,
    403: OutcomeClass.CONFIG,
    404: OutcomeClass.CONFIG,
    429: OutcomeClass.THROTTLE,
}
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Topics:
    """The topics of one Firebase project. Subscribing twice is as good as once, so it may be repeated."""

    tokens: AccessTokens = field(repr=False)
    url: str = _URL
    timeout: timedelta = timedelta(seconds=15)

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make what the settings describe; None without a service account. Raises ConfigurationError."""
        if not settings.fcm_service_account:
            return None
        account = ServiceAccount.read(settings.fcm_service_account.get_secret_value())
        return cls(
            tokens=AccessTokens(account, fetched, url=settings.fcm_token_url),
            url=(settings.fcm_topics_url or _URL).rstrip("/"),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def build(self, topic: str, tokens: Sequence[str], now: datetime, *, subscribe: bool) -> HttpRequest:
        """Make the request that subscribes up to 1,000 registration tokens to a topic, or ends that.

        Raises Invalid for a topic's name or a number of tokens that FCM does not take.
        """
        if not _NAME.fullmatch(topic):
            raise Invalid.of("topic", "must be 1 to 900 letters, digits or any of - _ . ~ %")
        if not 1 <= len(tokens) <= MOST_TOKENS:
            raise Invalid.of("tokens", f"must be 1 to {MOST_TOKENS} at a time")
        call = "batchAdd" if subscribe else "batchRemove"
        return HttpRequest(
            url=f"{self.url}/iid/v1:{call}",
            body=orjson.dumps({"to": f"/topics/{topic}", "registration_tokens": list(tokens)}),
            headers=self.tokens.current(now).headers
            | {"Content-Type": "application/json", "access_token_auth": "true"},
            timeout=self.timeout,
            http2=True,
        )

    def read(self, tokens: Sequence[str], response: HttpResponse) -> list[Outcome]:
        """Tell what became of each token, in their order: accepted, or why not. Never raises.

        `recipient` means that the token is of no use any more, `content` that it is subscribed to as
        many topics as FCM allows.
        """
        told = json_object(response.body)
        results = listed(told, "results")
        if response.status == 200 and len(results) == len(tokens):  # noqa: PLR2004 — OK.
            return [_of_token(words(part(each), "error")) for each in results]
        return [self._of_all(response, words(told, "error"))] * len(tokens)

    def _of_all(self, response: HttpResponse, code: str) -> Outcome:
        kind = _OF_STATUS.get(response.status, OutcomeClass.UNKNOWN)
        if response.status >= _SERVER_ERROR:
            kind = OutcomeClass.TRANSIENT
        if response.status == _UNAUTHORIZED and self.tokens.all_refused():
            kind = OutcomeClass.TRANSIENT
        return Outcome(
            kind=kind,
            scope=ConfigScope.ACCOUNT if kind is OutcomeClass.CONFIG else None,
            code=code_in_short(code) or f"http_{response.status}",
            retry_after=wait_asked_for(response.headers),
        )


def _of_token(code: str) -> Outcome:
    if not code:
        return Outcome(kind=OutcomeClass.ACCEPTED)
    return Outcome(kind=_OF_TOKEN.get(code, OutcomeClass.UNKNOWN), code=code_in_short(code))
