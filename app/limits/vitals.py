"""What workers count of gateways, kept in Redis for the last twenty minutes, in steps of ten seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from app.db.redis import translated
from app.domain.vitals import Vitals
from app.domain.vocabulary import Channel

STEP = timedelta(seconds=10)
STEPS = 120

Place = tuple[Channel, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What was counted in the step of time that began at `at`."""

    at: datetime
    vitals: Vitals


def ring_key(channel: Channel, gateway: str) -> str:
    """Name a gateway's ring; it lives where its breaker does, since both are written by one call."""
    return f"vitals:{{{channel}:{gateway}:}}"


def figures(vitals: Vitals) -> list[int]:
    """Spell counts as the script takes them: the ring's shape, then what is to be added."""
    counts = [vitals.accepted, vitals.failed, vitals.requests, vitals.latency_ms, *vitals.latencies]
    return [STEP // timedelta(milliseconds=1), STEPS, *counts]


def read(client: redis.Redis, places: Sequence[Place]) -> dict[Place, list[Step]]:
    """Read what is kept of each gateway, oldest first, in one round trip. Raises Unavailable."""
    with translated(), client.pipeline(transaction=False) as pipe:
        for channel, gateway in places:
            pipe.hvals(ring_key(channel, gateway))
        answers = pipe.execute()
    return {
        place: sorted((_step(entry) for entry in entries), key=lambda step: step.at)
        for place, entries in zip(places, answers, strict=True)
    }


def _step(entry: str) -> Step:
    step, accepted, failed, requests, milliseconds, *latencies = map(int, entry.split())
    at = datetime.fromtimestamp(step * STEP.total_seconds(), UTC)
    vitals = Vitals(
        accepted=accepted, failed=failed, requests=requests, latency_ms=milliseconds, latencies=latencies
    )
    return Step(at=at, vitals=vitals)
