"""The signature that MessageBird has deprecated and Bird goes on using: HMAC over time, address and body."""

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from app.errors import Forged

SIGNATURE_HEADER = "messagebird-signature"
_TIME_HEADER = "messagebird-request-timestamp"

_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
# Nobody says how old a signature may be, and what is told again may carry its first time. A replay
# does no harm meanwhile: each fact counts once.
_OLDEST = timedelta(hours=24)
_CLOCKS_DIFFER = timedelta(minutes=5)


def check_stamp(
    headers: Mapping[str, str], signed: Iterable[str], body: bytes, keys: Iterable[str], now: datetime
) -> None:
    """Return where the signature holds under one of the keys; raises Forged otherwise.

    `signed` are the spellings of what stands between time and body; one of them is to fit.
    """
    stamp = headers.get(_TIME_HEADER, "")
    if SIGNATURE_HEADER not in headers or not stamp:
        raise Forged("signature missing")
    try:
        given = b64decode(headers[SIGNATURE_HEADER], validate=True)
    except ValueError as exc:
        raise Forged("signature encoding") from exc
    digest = hashlib.sha256(body).digest()
    texts = [f"{stamp}\n{middle}\n".encode() + digest for middle in signed]
    fits = [hmac.compare_digest(given, _signature(key, text)) for key in keys for text in texts]
    if not any(fits):
        raise Forged("signature")
    _check_time(stamp, now)


def _signature(key: str, text: bytes) -> bytes:
    return hmac.digest(key.encode(), text, "sha256")


def _check_time(stamp: str, now: datetime) -> None:
    if not _SECONDS.fullmatch(stamp):
        raise Forged("signature's time")
    signed_at = datetime.fromtimestamp(int(stamp), UTC)
    if not -_CLOCKS_DIFFER <= now - signed_at <= _OLDEST:
        raise Forged("signature's time")
