"""Proof that a webhook is MessageBird's: a token over address and body, signed with its key."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from app.errors import Forged
from app.gateways.answers import json_object, words
from app.gateways.base import WebhookRequest
from app.gateways.sms.stamps import SIGNATURE_HEADER, check_stamp

_TOKEN_HEADER = "messagebird-signature-jwt"  # noqa: S105 — the name of a header.
_ISSUER = "MessageBird"
_DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_LEEWAY = timedelta(seconds=1)


def check(request: WebhookRequest, keys: Sequence[str], now: datetime, *, accept_deprecated: bool) -> None:
    """Return where the request's proof holds under one of the keys; raise Forged otherwise.

    A token is the only proof looked at where there is one.
    """
    if _TOKEN_HEADER in request.headers:
        _check_token(request, keys, now)
    elif accept_deprecated and SIGNATURE_HEADER in request.headers:
        check_stamp(request.headers, _sorted_queries(request.url), request.body, keys, now)
    else:
        raise Forged("signature missing")


def _check_token(request: WebhookRequest, keys: Sequence[str], now: datetime) -> None:
    parts = request.headers[_TOKEN_HEADER].split(".")
    if len(parts) != 3:  # noqa: PLR2004 — header, claims, signature.
        raise Forged("token")
    head, claims, signature = (_decoded(part) for part in parts)
    digest = _DIGESTS.get(words(json_object(head), "alg"))
    if digest is None:
        raise Forged("token algorithm")
    signed = f"{parts[0]}.{parts[1]}".encode()
    fits = [hmac.compare_digest(signature, hmac.digest(key.encode(), signed, digest)) for key in keys]
    if not any(fits):
        raise Forged("token signature")
    _check_claims(json_object(claims), request, now)


def _check_claims(claims: Mapping[str, Any], request: WebhookRequest, now: datetime) -> None:
    if words(claims, "iss") != _ISSUER:
        raise Forged("token issuer")
    if _seconds(claims, "nbf") > (now + _LEEWAY).timestamp():
        raise Forged("token not valid yet")
    if _seconds(claims, "exp") <= (now - _LEEWAY).timestamp():
        raise Forged("token expired")
    if not _is_hash_of(request.url.encode(), words(claims, "url_hash")):
        raise Forged("token's address")
    if bool(request.body) != ("payload_hash" in claims):
        raise Forged("token's body")
    if request.body and not _is_hash_of(request.body, words(claims, "payload_hash")):
        raise Forged("token's body")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Forged(f"token without {name}")
    return value


def _is_hash_of(content: bytes, claimed: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(content).hexdigest().encode(), claimed.encode())


def _decoded(part: str) -> bytes:
    try:
        return b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise Forged("token encoding") from exc


def _sorted_queries(url: str) -> list[str]:
    """Spell the query as the deprecated signature covers it: sorted by name, encoded anew.

    A time zone's `+` may stand in the address as it is, where it means a blank to every parser but
    was a plus to the signer: both readings are given.
    """
    query = urlsplit(url).query
    as_blank = parse_qsl(query, keep_blank_values=True)
    pairs = (part.partition("=") for part in query.split("&") if part)
    as_plus = [(unquote(name), unquote(value)) for name, _, value in pairs]
    return [urlencode(sorted(pairs)) for pairs in (as_blank, as_plus)]
