"""What Google looks at before it gives a service account an access token."""

from datetime import datetime, timedelta
from urllib.parse import parse_qs

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from app.simulator.accounts.fcm import EMAIL, KEY_ID
from app.simulator.exchange import Reply, Request
from app.simulator.jwt import Token

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
_LONGEST = timedelta(hours=1)
_SKEW = timedelta(minutes=5)


def refusal_of(request: Request, key: object, now: datetime) -> Reply | None:
    """Check a request for an access token; None where there is nothing against it."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode(errors="replace")).items()}
    if form.get("grant_type") != _GRANT:
        return _refusal("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    token = Token.read(form.get("assertion", ""))
    if token is None or token.header.get("alg") != "RS256":
        return _refusal("invalid_grant", "Invalid JWT: not a signed token.")
    return _wrong_account(token, key) or _wrong_claim(token, now)


def _wrong_account(token: Token, key: object) -> Reply | None:
    if token.claims.get("iss") != EMAIL or token.header.get("kid") not in (None, KEY_ID):
        return _refusal("invalid_grant", "Invalid grant: account not found")
    if not isinstance(key, RSAPublicKey) or not _is_signed(token, key):
        return _refusal("invalid_grant", "Invalid JWT Signature.")
    return None


def _wrong_claim(token: Token, now: datetime) -> Reply | None:
    if not _is_timely(token, now):
        text = "Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return _refusal("invalid_grant", f"Invalid JWT: {text}")
    if not str(token.claims.get("aud")).endswith("/token"):
        return _refusal("invalid_grant", "Invalid JWT: Failed audience check.")
    if not _SCOPES & set(str(token.claims.get("scope")).split()):
        return _refusal("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    return None


def _is_signed(token: Token, key: RSAPublicKey) -> bool:
    try:
        key.verify(token.signature, token.signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _is_timely(token: Token, now: datetime) -> bool:
    issued, ends = token.moment("iat"), token.moment("exp")
    if issued is None or ends is None:
        return False
    return issued - _SKEW <= now <= ends + _SKEW and ends - issued <= _LONGEST


def _refusal(code: str, text: str) -> Reply:
    return Reply(
        status=400,
        body=orjson.dumps({"error": code, "error_description": text}),
        headers=(("content-type", "application/json; charset=utf-8"),),
        outcome=code,
    )
