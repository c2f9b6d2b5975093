"""What a used idempotency key means for the request that brings it again."""

from datetime import timedelta
from typing import Any

from app.errors import Fault, InFlight, Invalid, KeyReused

KEPT = timedelta(hours=24)
LONGEST_KEY = 255


def check_key(key: str | None) -> None:
    """Raise Invalid for a key that is none."""
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Invalid([Fault("Idempotency-Key", f"must have 1 to {LONGEST_KEY} printable ASCII characters")])


def replay(
    state: str, known_hash: bytes, answer: dict[str, Any] | None, request_hash: bytes
) -> dict[str, Any]:
    """Give the first answer; raises InFlight while there is none, KeyReused where the body differs."""
    if state == "in_flight" or answer is None:
        raise InFlight("a request with this idempotency key is still running")
    if bytes(known_hash) != request_hash:
        raise KeyReused("this idempotency key was used for another request")
    return answer
