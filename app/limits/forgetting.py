"""Forgetting what rate limits have counted, as if nothing had been sent."""

import redis

from app.db.redis import translated
from app.domain.capacity import EVERYTHING

_LENGTHS = ("second", "minute", "hour", "day")
_AT_A_TIME = 1000


def forget_counts(client: redis.Redis, prefix: str) -> int:
    """Remove the counts of all limits' windows; gives how many windows held any. Raises Unavailable.

    What the limits themselves say stays, and so does what is known of when the counts began.
    """
    gone = 0
    with translated():
        for length in _LENGTHS:
            keys: list[str] = []
            for key in client.scan_iter(f"{prefix}{{limits}}:{length}:*", count=_AT_A_TIME):
                keys.append(key)
                if len(keys) == _AT_A_TIME:
                    gone += _remove(client, keys)
                    keys = []
            gone += _remove(client, keys)
        client.hincrby(resets_key(prefix), EVERYTHING)
    return gone


def resets_key(prefix: str) -> str:
    """Name where it is counted how often limits were reset, so that who waits for one hears of it."""
    return f"{prefix}{{limits}}:resets"


def _remove(client: redis.Redis, keys: list[str]) -> int:
    return int(client.unlink(*keys)) if keys else 0
