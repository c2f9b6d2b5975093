"""Webhooks whose proof did not hold, counted by the hour where all processes can see it."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import redis

from app.db.redis import translated

KEPT = timedelta(hours=25)
_HOUR = 3600


def note_reject(client: redis.Redis, gateway: str, reason: str, now: datetime) -> None:
    """Count one rejected webhook of a gateway that is expected to call; raises Unavailable.

    `reason` is one of a few words of ours.
    """
    key = _key(gateway, int(now.timestamp()) // _HOUR)
    with translated(), client.pipeline(transaction=False) as pipe:
        pipe.hincrby(key, reason, 1)
        pipe.expire(key, KEPT)
        pipe.execute()


def rejects(
    client: redis.Redis, gateways: Iterable[str], now: datetime, *, hours: int
) -> dict[str, dict[str, int]]:
    """Tell how many webhooks of each gateway were rejected lately, by reason; raises Unavailable."""
    names = list(gateways)
    current = int(now.timestamp()) // _HOUR
    places = [(name, current - back) for name in names for back in range(hours)]
    with translated(), client.pipeline(transaction=False) as pipe:
        for place in places:
            pipe.hgetall(_key(*place))
        answers = pipe.execute()
    found: dict[str, dict[str, int]] = {}
    for (name, _), answer in zip(places, answers, strict=True):
        for reason, count in answer.items():
            mine = found.setdefault(name, {})
            mine[reason] = mine.get(reason, 0) + int(count)
    return found


def _key(gateway: str, hour: int) -> str:
    return f"webhooks:rejected:{gateway}:{hour}"
