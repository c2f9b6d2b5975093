"""Google's access tokens: asked for with a service account's signature, shared by a process's threads."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Self
from urllib.parse import urlencode

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import ConfigurationError
from app.gateways.answers import in_short, json_object, words
from app.gateways.base import HttpFailure, HttpRequest, HttpResponse
from app.gateways.push.credentials import contents, seconds
from app.gateways.push.jwt import signed_token

log = structlog.get_logger(__name__)

Fetch = Callable[[HttpRequest], HttpResponse | HttpFailure]

_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 — an address.
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_HOLDS = timedelta(hours=1)
_TOKEN_HOLDS = timedelta(hours=1)
_LONGEST_TOLD = 86_400
# It takes a while to have another, and an old one shall not run out on the way.
_RENEWED_BEFORE_END = timedelta(minutes=5)
_USED_UNTIL_BEFORE_END = timedelta(seconds=30)
# One that cannot be had is not asked for by every thread for every message.
_ASKED_AGAIN_AFTER = timedelta(seconds=5)
_TIMEOUT = timedelta(seconds=5)
_CONNECT_TIMEOUT = timedelta(seconds=3)
# By these statuses Google says that it does not want this account; by all others, that it cannot say.
_REFUSED = frozenset({400, 401, 403})


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceAccount:
    """A service account of a Google project, as its key file describes it."""

    project: str
    email: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)
    token_url: str = _TOKEN_URL

    @classmethod
    def read(cls, setting: str) -> Self:
        """Read the JSON of a key file, or the file of that name; raises ConfigurationError."""
        told = json_object(contents(setting, "FCM_SERVICE_ACCOUNT"))
        project, email = words(told, "project_id"), words(told, "client_email")
        if not project or not email:
            raise ConfigurationError("FCM_SERVICE_ACCOUNT lacks project_id or client_email.")
        return cls(
            project=project,
            email=email,
            key_id=words(told, "private_key_id"),
            key=_key(words(told, "private_key")),
            token_url=words(told, "token_uri") or _TOKEN_URL,
        )

    def assertion(self, now: datetime) -> str:
        """Sign that we are this account, for an hour."""
        return signed_token(
            {"alg": "RS256", "typ": "JWT", "kid": self.key_id},
            {
                "iss": self.email,
                "scope": _SCOPE,
                "aud": self.token_url,
                "iat": seconds(now),
                "exp": seconds(now + _ASSERTION_HOLDS),
            },
            lambda text: self.key.sign(text, PKCS1v15(), SHA256()),
        )


def _key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError("The private_key of FCM_SERVICE_ACCOUNT cannot be read.") from exc
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError("The private_key of FCM_SERVICE_ACCOUNT is not an RSA key.")
    return key


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessToken:
    """One access token, or that there is none: `text` is None, and FCM will say so in its answer.

    `number` grows with each; `renew_at` and `ends_at` say for how long it is of use.
    """

    number: int
    renew_at: datetime
    ends_at: datetime
    text: str | None = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Give what a request says who we are with."""
        return {"Authorization": f"Bearer {self.text}"} if self.text else {}


class AccessTokens:
    """The current access token of one process; threads share it, and one of them renews it.

    Where none can be had a request goes out without one, and its answer is a refusal like another:
    what is wrong with Google then concerns nobody but those who send through it.
    """

    def __init__(self, account: ServiceAccount, fetch: Fetch, *, url: str | None = None) -> None:
        self._account = account
        self._fetch = fetch
        self._url = url or account.token_url
        self._turn = threading.Lock()
        self._token: AccessToken | None = None
        self._number = 0
        self._ask_at: datetime | None = None
        # After a refusal the next one is on trial until it has worked: refused too, it was the last hope.
        self._next_on_trial = False
        self._on_trial = 0
        self._hopeless = 0
        self._account_refused = False

    def current(self, now: datetime) -> AccessToken:
        """Give a token that holds, or none.

        One thread asks for another while the others use the old one as long as it holds, else wait.
        """
        token = self._token
        if token and now < token.renew_at:
            return token
        if token and now < token.ends_at:
            return self._renewed_by_one(token, now)
        with self._turn:
            token = self._token
            if token is None or now >= token.ends_at:
                token = self._token = self._ask(now)
            return token

    def refused(self, number: int | None) -> bool:
        """Drop a token that FCM refused; tells whether another one may do.

        None stands for one that is not known any more, and so not the last word.
        """
        with self._turn:
            token = self._token
            if token and token.text and token.number == number:
                if number == self._on_trial:
                    self._hopeless, self._account_refused = number, True
                self._token, self._next_on_trial = None, True
            return number is None or number != self._hopeless

    def all_refused(self) -> bool:
        """Drop the current token, which was refused; tells whether another one may do."""
        token = self._token
        return self.refused(token.number if token else None)

    def worked(self, number: int | None) -> None:
        """Take note that FCM took a token."""
        if number is not None and number == self._on_trial:
            self._on_trial, self._ask_at = 0, None

    def _renewed_by_one(self, token: AccessToken, now: datetime) -> AccessToken:
        if not self._turn.acquire(blocking=False):
            return token
        try:
            newer = self._ask(now)
            if newer.text:
                self._token = newer
            return newer if newer.text else token
        finally:
            self._turn.release()

    def _ask(self, now: datetime) -> AccessToken:
        """Fetch a token, but not more than one in a while; whoever calls has the turn."""
        self._number += 1
        if self._ask_at is None or now >= self._ask_at:
            self._ask_at = now + _ASKED_AGAIN_AFTER
            token = _read(self._fetch(self._request(now)), self._number, now)
            if isinstance(token, AccessToken):
                self._accept(token)
                return token
            self._account_refused = token is _Refusal.OF_THE_ACCOUNT
        if self._account_refused:
            self._hopeless = self._number
        return AccessToken(number=self._number, text=None, renew_at=self._ask_at, ends_at=self._ask_at)

    def _accept(self, token: AccessToken) -> None:
        self._account_refused = False
        self._on_trial = token.number if self._next_on_trial else 0
        if not self._next_on_trial:
            self._ask_at = None
        self._next_on_trial = False

    def _request(self, now: datetime) -> HttpRequest:
        form = {"grant_type": _GRANT, "assertion": self._account.assertion(now)}
        return HttpRequest(
            url=self._url,
            body=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=_TIMEOUT,
            connect_timeout=_CONNECT_TIMEOUT,
        )


class _Refusal(Enum):
    """Why there is no token: Google does not want this account, or cannot say."""

    OF_THE_ACCOUNT = "account"
    FOR_NOW = "now"


def _read(answer: HttpResponse | HttpFailure, number: int, now: datetime) -> AccessToken | _Refusal:
    """Read the answer to a request for a token."""
    if isinstance(answer, HttpFailure):
        log.warning("no access token", detail=answer.detail)
        return _Refusal.FOR_NOW
    told = json_object(answer.body)
    text = words(told, "access_token")
    if answer.status == 200 and text.isascii() and text.isprintable() and text:  # noqa: PLR2004 — OK.
        holds = _holds(told.get("expires_in"))
        return AccessToken(
            number=number,
            text=text,
            renew_at=now + max(holds - _RENEWED_BEFORE_END, holds / 2),
            ends_at=now + max(holds - _USED_UNTIL_BEFORE_END, holds / 2),
        )
    why = in_short(f"{words(told, 'error')} {words(told, 'error_description')}")
    log.warning("no access token", status=answer.status, detail=why)
    return _Refusal.OF_THE_ACCOUNT if told and answer.status in _REFUSED else _Refusal.FOR_NOW


def _holds(told: object) -> timedelta:
    if isinstance(told, int) and not isinstance(told, bool) and 0 < told <= _LONGEST_TOLD:
        return timedelta(seconds=told)
    return _TOKEN_HOLDS
