"""One account at Twilio: its credentials, where its API is, and where it calls us back."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self
from urllib.parse import urlencode

from app.errors import ConfigurationError
from app.gateways.base import HttpRequest
from app.gateways.probing import PROBE_TIMEOUT
from app.gateways.twilio.callbacks import Callbacks
from app.settings import Settings

_FORM = "application/x-www-form-urlencoded"

Form = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account, by its SID; `user` and `password` are SID and auth token, or an API key and its secret.

    `callbacks` is None where the world cannot reach us, or where no token could prove who calls.
    """

    sid: str
    user: str
    password: str = field(repr=False)
    url: str = "https://api.twilio.com"
    callbacks: Callbacks | None = None
    timeout: timedelta = timedelta(seconds=15)

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the account that the settings describe; None where they describe none."""
        sid, credentials = settings.twilio_account_sid, _credentials(settings)
        if not sid and credentials is None:
            return None
        if not sid or credentials is None:
            raise ConfigurationError(
                "Twilio takes TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or with TWILIO_API_KEY and "
                "TWILIO_API_SECRET; set one of these pairs or none."
            )
        user, password = credentials
        return cls(
            sid=sid,
            user=user or sid,
            password=password,
            url=settings.twilio_url.rstrip("/"),
            callbacks=_callbacks(settings),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def post(self, resource: str, form: Form) -> HttpRequest:
        """Make the request that creates a resource of the account, as in "Messages"."""
        return HttpRequest(
            url=self._url(resource),
            headers={"Content-Type": _FORM, "Authorization": self._authorization},
            body=urlencode(form).encode(),
            timeout=self.timeout,
        )

    def get(self, resource: str, query: Form) -> HttpRequest:
        """Make the request that lists resources of the account."""
        return HttpRequest(
            method="GET",
            url=f"{self._url(resource)}?{urlencode(query)}",
            headers={"Authorization": self._authorization},
            body=b"",
            timeout=self.timeout,
        )

    @property
    def _authorization(self) -> str:
        return f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"

    def _url(self, resource: str) -> str:
        return f"{self.url}/2010-04-01/Accounts/{self.sid}/{resource}.json"

    def ask(self) -> HttpRequest:
        """Make a request that only looks.

        It is for the account itself; with an API key, which may not see that, for its last message.
        """
        place = self.sid if self.user == self.sid else f"{self.sid}/Messages"
        return HttpRequest(
            url=f"{self.url}/2010-04-01/Accounts/{place}.json?PageSize=1",
            headers={"Authorization": self._authorization},
            body=b"",
            method="GET",
            timeout=PROBE_TIMEOUT,
        )


def tokens_of(settings: Settings) -> tuple[str, ...]:
    """List the tokens that prove a callback: the account's own, then those on their way in or out."""
    given = (settings.twilio_auth_token, *settings.twilio_auth_tokens)
    return tuple(dict.fromkeys(token.get_secret_value() for token in given if token))


def _credentials(settings: Settings) -> tuple[str | None, str] | None:
    """Give the API key before the auth token, with None for a user that is the account itself."""
    key, secret, token = settings.twilio_api_key, settings.twilio_api_secret, settings.twilio_auth_token
    if bool(key) != bool(secret):
        raise ConfigurationError("An API key of Twilio's takes both TWILIO_API_KEY and TWILIO_API_SECRET.")
    if key and secret:
        return key, secret.get_secret_value()
    return (None, token.get_secret_value()) if token else None


def _callbacks(settings: Settings) -> Callbacks | None:
    tokens = tokens_of(settings)
    if not settings.public_base_url or not tokens:
        return None
    return Callbacks(base=settings.public_base_url.rstrip("/"), tokens=tokens)
