"""Signing in with the organisation's own accounts: OpenID Connect, authorization code flow with PKCE."""

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.errors import ConfigurationError, Unauthenticated, Unavailable
from app.settings import Settings

ROLES = frozenset({"viewer", "operator", "editor", "admin"})

# Asymmetric ones alone: with a shared secret, whoever can check a token can make one.
_ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_LARGEST = 512 * 1024
_KNOWN_FOR = timedelta(hours=1)
_LEEWAY = 60  # seconds
_OK = 200
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_REFUSED = "Your organisation's sign-in did not give a proof that holds. Begin again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Whom to ask, as the settings name it. `roles` maps values of a claim to our roles, in that order."""

    issuer: str
    client_id: str
    client_secret: str
    role_claim: str
    roles: Sequence[tuple[str, str]]
    default_role: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Journey:
    """What has to be remembered between leaving for the provider and coming back."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who the provider says it is. `email` is None unless the provider has verified it."""

    subject: str
    email: str | None
    name: str
    role: str | None


class OpenId:
    """Speaks with one provider: raises Unavailable where it is silent, Unauthenticated for a bad proof."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._http = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._lock = threading.Lock()
        self._found: tuple[datetime, Mapping[str, Any], KeySet] | None = None

    def address(self, journey: Journey, back: str, *, now: datetime) -> str:
        """Give the address at the provider where somebody proves who they are."""
        found, _ = self._known(now)
        query = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": back,
            "scope": "openid email profile",
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": create_s256_code_challenge(journey.verifier),
            "code_challenge_method": "S256",
        }
        return f"{_safe(found['authorization_endpoint'])}?{urlencode(query)}"

    def identity(self, journey: Journey, answer: Mapping[str, str], back: str, *, now: datetime) -> Identity:
        """Take what somebody brought back, and tell who the provider says they are."""
        if not secrets.compare_digest(answer.get("state", ""), journey.state) or not answer.get("code"):
            raise Unauthenticated(_REFUSED)
        found, _ = self._known(now)
        token = self._exchanged(found, answer["code"], journey, back)
        return self._read(self._claims(token, now), journey, now)

    def _exchanged(self, found: Mapping[str, Any], code: str, journey: Journey, back: str) -> str:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": self._provider.client_id,
            "client_secret": self._provider.client_secret,
            "code_verifier": journey.verifier,
        }
        told = self._ask("POST", _safe(found["token_endpoint"]), urlencode(fields))
        if not isinstance(token := told.get("id_token"), str):
            raise Unauthenticated(_REFUSED)
        return token

    def _claims(self, token: str, now: datetime) -> Mapping[str, Any]:
        """Prove the token's signature; where its key is not known, the provider may have a new one."""
        for fresh in (False, True):
            _, keys = self._known(now, fresh=fresh)
            try:
                return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
            except (JoseError, ValueError):
                continue
        raise Unauthenticated(_REFUSED)

    def _read(self, claims: Mapping[str, Any], journey: Journey, now: datetime) -> Identity:
        at = now.timestamp()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        holds = (
            claims.get("iss") == self._provider.issuer
            and self._provider.client_id in audiences
            and (len(audiences) == 1 or claims.get("azp") == self._provider.client_id)
            and _number(claims.get("exp")) > at - _LEEWAY
            and _number(claims.get("iat")) < at + _LEEWAY
            and secrets.compare_digest(str(claims.get("nonce", "")), journey.nonce)
            and isinstance(claims.get("sub"), str)
        )
        if not holds:
            raise Unauthenticated(_REFUSED)
        email = claims.get("email") if claims.get("email_verified") is True else None
        return Identity(
            subject=f"{self._provider.issuer} {claims['sub']}",
            email=str(email).strip().lower() if email else None,
            name=str(claims.get("name") or ""),
            role=_role(self._provider, claims.get(self._provider.role_claim)),
        )

    def _known(self, now: datetime, *, fresh: bool = False) -> tuple[Mapping[str, Any], KeySet]:
        """Give what the provider says of itself, and its keys."""
        with self._lock:
            if fresh or self._found is None or now - self._found[0] > _KNOWN_FOR:
                issuer = self._provider.issuer
                told = self._ask("GET", f"{_safe(issuer).rstrip('/')}/.well-known/openid-configuration")
                if told.get("issuer") != issuer:
                    raise ConfigurationError(
                        f"OIDC_ISSUER is {issuer!r}, but it says {told.get('issuer')!r}."
                    )
                keys: Any = self._ask("GET", _safe(told["jwks_uri"]))
                self._found = now, told, KeySet.import_key_set(keys)
            return self._found[1], self._found[2]

    def _ask(self, method: str, url: str, body: str | None = None) -> Mapping[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._http.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False
            )
            raw = answer.read(_LARGEST)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as exc:
            raise Unavailable("your organisation's sign-in does not answer") from exc
        if answer.status >= 500:  # noqa: PLR2004 - HTTP's own numbers.
            raise Unavailable("your organisation's sign-in is in trouble")
        if answer.status != _OK:
            raise Unauthenticated(_REFUSED)
        try:
            told: Mapping[str, Any] = orjson.loads(raw)
        except orjson.JSONDecodeError as exc:
            raise Unavailable("your organisation's sign-in answers with what is no JSON") from exc
        return told


def openid_provider(settings: Settings) -> Provider | None:
    """Tell whom to ask, where somebody is set. Raises ConfigurationError for half of it."""
    given = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    if not any(given):
        return None
    issuer, client_id, secret = given
    if issuer is None or client_id is None or secret is None:
        raise ConfigurationError("OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET go together.")
    roles = [(value, role) for value, _, role in (each.rpartition("=") for each in settings.oidc_roles)]
    if unknown := sorted({role for _, role in roles} - ROLES) or [value for value, _ in roles if not value]:
        raise ConfigurationError(
            f"OIDC_ROLES: write value=role, of {', '.join(sorted(ROLES))}; not {unknown}."
        )
    return Provider(
        issuer=_safe(issuer),
        client_id=client_id,
        client_secret=secret.get_secret_value(),
        role_claim=settings.oidc_role_claim,
        roles=roles,
        default_role=settings.oidc_default_role,
    )


def _role(provider: Provider, told: Any) -> str | None:
    values = {told} if isinstance(told, str) else set(map(str, told or ()))
    found = (role for value, role in provider.roles if value in values)
    return next(found, provider.default_role)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _safe(url: str) -> str:
    """Give an address back that is spoken to in secret, or is on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ConfigurationError(f"{url!r} is not an https address; OpenID Connect needs one.")
