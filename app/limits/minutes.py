"""Counts of the present minute, shared by all workers."""

import redis

from app.db.redis import translated
from app.limits.scripts import Clock

_MINUTE = 60  # seconds


class MinuteCounts:
    """Counts by key and minute. `clock` replaces the server's in tests."""

    def __init__(self, client: redis.Redis, *, clock: Clock | None = None) -> None:
        self._client = client
        self._clock = clock

    def add(self, key: str, count: int) -> int:
        """Count so many more in this minute; gives how many that makes. May raise Unavailable."""
        with translated():
            seconds = self._clock().timestamp() if self._clock else self._client.time()[0]
            name = f"minute:{{{key}}}:{int(seconds) // _MINUTE}"
            with self._client.pipeline(transaction=False) as pipe:
                pipe.incrby(name, count)
                pipe.expire(name, 2 * _MINUTE)
                return int(pipe.execute()[0])
