"""What Apple looks at in the token by which a provider says who it is."""

from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.simulator.accounts.apns import KEY_ID, PRIVATE_KEY, TEAM
from app.simulator.jwt import Token

Fault = tuple[int, str]

_INVALID = (403, "InvalidProviderToken")
_HOLDS = timedelta(hours=1)
_CHANGES_AT_MOST_EVERY = timedelta(minutes=20)
_SKEW = timedelta(minutes=1)
_HALF = 32


class ProviderTokens:
    """Believes a team's tokens, and remembers the last one: it must not change too often."""

    def __init__(self) -> None:
        key = load_pem_private_key(PRIVATE_KEY.encode(), password=None).public_key()
        if not isinstance(key, EllipticCurvePublicKey):
            raise TypeError("the account's key is of another kind")
        self._key = key
        self._last = ""
        self._last_issued: datetime | None = None

    def fault_of(self, authorization: str, now: datetime) -> Fault | None:
        """Say what is wrong with a token; None where it is believed."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            return (403, "MissingProviderToken")
        if text == self._last and self._last_issued and now - self._last_issued < _HOLDS:
            return None
        token = Token.read(text)
        issued = token.moment("iat") if token else None
        if token is None or issued is None or not self._is_ours(token):
            return _INVALID
        if now - issued >= _HOLDS:
            return (403, "ExpiredProviderToken")
        return _INVALID if issued - now > _SKEW else self._change(text, issued)

    def _change(self, text: str, issued: datetime) -> Fault | None:
        if self._last_issued and abs(issued - self._last_issued) < _CHANGES_AT_MOST_EVERY:
            return (429, "TooManyProviderTokenUpdates")
        self._last, self._last_issued = text, issued
        return None

    def _is_ours(self, token: Token) -> bool:
        if (token.header.get("alg"), token.header.get("kid")) != ("ES256", KEY_ID):
            return False
        if token.claims.get("iss") != TEAM or len(token.signature) != 2 * _HALF:
            return False
        r, s = (int.from_bytes(half, "big") for half in (token.signature[:_HALF], token.signature[_HALF:]))
        try:
            self._key.verify(encode_dss_signature(r, s), token.signed, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True
