"""Proof that a webhook is SendGrid's: ECDSA on P-256 over the time in a header and the raw body."""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.errors import ConfigurationError, Forged

SIGNATURE_HEADER = "x-twilio-email-event-webhook-signature"
TIME_HEADER = "x-twilio-email-event-webhook-timestamp"

# SendGrid repeats for 24 hours, and nobody knows whether it then signs anew. What is repeated within
# this time is found by the facts' keys.
OLDEST = timedelta(hours=25)
CLOCKS_DIFFER = timedelta(minutes=10)

_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
_ECDSA = ECDSA(SHA256())


def check_signature(
    headers: Mapping[str, str], body: bytes, keys: Sequence[EllipticCurvePublicKey], now: datetime
) -> None:
    """Return where the signature holds by one of the keys and was made lately; raise Forged otherwise."""
    told = headers.get(TIME_HEADER, "")
    _check_time(told, now)
    signature = _decoded(headers.get(SIGNATURE_HEADER, ""))
    signed = told.encode() + body
    if not any(_holds(key, signature, signed) for key in keys):
        raise Forged("signature")


@lru_cache(maxsize=16)
def key_of_settings(spki: str) -> EllipticCurvePublicKey:
    """Read a key as SendGrid shows it, base64 of its SubjectPublicKeyInfo; raises ConfigurationError."""
    try:
        key = load_der_public_key(b64decode("".join(spki.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise _unusable() from exc
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise _unusable()
    return key


def _unusable() -> ConfigurationError:
    return ConfigurationError(
        "SENDGRID_WEBHOOK_PUBLIC_KEYS holds something else than SendGrid's verification keys: "
        "copy them from the settings of its signed event webhook."
    )


def _check_time(told: str, now: datetime) -> None:
    if not _SECONDS.fullmatch(told):
        raise Forged("timestamp")
    age = now - datetime.fromtimestamp(int(told), UTC)
    if not -CLOCKS_DIFFER <= age <= OLDEST:
        raise Forged("timestamp too far from now")


def _decoded(signature: str) -> bytes:
    if not signature:
        raise Forged("signature missing")
    try:
        return b64decode(signature, validate=True)
    except ValueError as exc:
        raise Forged("signature encoding") from exc


def _holds(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, _ECDSA)
    except InvalidSignature:
        return False
    return True
