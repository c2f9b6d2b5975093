"""The tokens by which Apple knows who sends: signed by us, and the same in every thread and process."""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.errors import ConfigurationError
from app.gateways.push.credentials import seconds
from app.gateways.push.jwt import signed_token

# Apple takes a token for an hour, and does not want to see another one within twenty minutes.
RENEWED_EVERY = timedelta(minutes=50)
# How often at most, where Apple said that one has expired.
_RENEWED_SOONER_EVERY = timedelta(minutes=25)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES_OF_A_HALF = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ProviderToken:
    """One token, and when it was issued, in seconds since 1970."""

    issued_at: int
    text: str = field(repr=False)


class ProviderTokens:
    """The current token of a team's key.

    A token is issued as of the last full fifty minutes, and a signature of the same text is always the
    same. So all processes of all machines send the same token without asking each other: Apple refuses
    senders whose token changes too often.
    """

    def __init__(self, *, team: str, key_id: str, key: EllipticCurvePrivateKey) -> None:
        self._team = team
        self._key_id = key_id
        self._key = key
        self._turn = threading.Lock()
        self._every = RENEWED_EVERY
        self._token: ProviderToken | None = None
        self._last_asked = _EPOCH

    def current(self, now: datetime) -> ProviderToken:
        """Give the token for this time."""
        issued_at = self._issued_at(now, self._every)
        token = self._token
        if token is None or token.issued_at != issued_at:
            with self._turn:
                token = self._token
                if token is None or token.issued_at != issued_at:
                    token = self._token = self._signed(issued_at)
        self._last_asked = now
        return token

    def expired(self, issued_at: int | None) -> bool:
        """Make a token that Apple calls expired give way to a newer one; tells whether there is one.

        There is none where the token is young, for then it is a clock that is wrong.
        """
        with self._turn:
            if issued_at is None:
                return True
            newer = self._issued_at(self._last_asked, _RENEWED_SOONER_EVERY) > issued_at
            if newer:
                self._every = _RENEWED_SOONER_EVERY
            return newer

    def changed_too_often(self) -> None:
        """Go back to the slowest change, as Apple asks."""
        self._every = RENEWED_EVERY

    @staticmethod
    def _issued_at(now: datetime, every: timedelta) -> int:
        return seconds(_EPOCH + (now - _EPOCH) // every * every)

    def _signed(self, issued_at: int) -> ProviderToken:
        text = signed_token(
            {"alg": "ES256", "kid": self._key_id}, {"iss": self._team, "iat": issued_at}, self._signature
        )
        return ProviderToken(issued_at=issued_at, text=text)

    def _signature(self, text: bytes) -> bytes:
        der = self._key.sign(text, ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(half.to_bytes(_BYTES_OF_A_HALF, "big") for half in decode_dss_signature(der))


def key_of(pem: str) -> EllipticCurvePrivateKey:
    """Read the key that Apple gives as a .p8 file; raises ConfigurationError."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ConfigurationError("APNS_KEY cannot be read.") from exc
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("APNS_KEY is not a key on the curve P-256.")
    return key
