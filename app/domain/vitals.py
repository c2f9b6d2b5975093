"""What is counted of a gateway in a stretch of time, and what follows: rates, latencies, its share."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate

# Upper bounds of the buckets that latencies are counted in, in milliseconds; one more is for all above.
BOUNDS = (5, 10, 25, 50, 75, 100, 150, 250, 400, 650, 1000, 1500, 2500, 4000, 6500, 10_000, 15_000, 30_000)
BUCKETS = len(BOUNDS) + 1

# With fewer requests than this nothing is said about how fast a gateway is.
ENOUGH = 20


@dataclass(kw_only=True, slots=True)
class Vitals:
    """Counts of one gateway. `accepted` and `failed` are messages: taken, and not for a fault of its own.

    `latency_ms` is the sum over `requests`; `latencies` counts them by bucket.
    """

    accepted: int = 0
    failed: int = 0
    requests: int = 0
    latency_ms: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def time(self, took: timedelta) -> None:
        """Count how long one request took."""
        milliseconds = took / timedelta(milliseconds=1)
        self.requests += 1
        self.latency_ms += round(milliseconds)
        self.latencies[bisect_left(BOUNDS, milliseconds)] += 1

    @property
    def success_rate(self) -> float | None:
        """The share of messages that the gateway took; None where none were tried."""
        tried = self.accepted + self.failed
        return self.accepted / tried if tried else None

    @property
    def mean_ms(self) -> float | None:
        """The mean latency; None without requests."""
        return self.latency_ms / self.requests if self.requests else None

    def percentile(self, share: float) -> float | None:
        """Give the latency in milliseconds that this share of requests did not exceed, as far as is known."""
        return percentile(self.latencies, share)


def added(parts: Iterable[Vitals]) -> Vitals:
    """Add counts up."""
    total = Vitals()
    for part in parts:
        total.accepted += part.accepted
        total.failed += part.failed
        total.requests += part.requests
        total.latency_ms += part.latency_ms
        total.latencies = [one + other for one, other in zip(total.latencies, part.latencies, strict=True)]
    return total


def percentile(latencies: Sequence[int], share: float) -> float | None:
    """Find a percentile in counts by bucket, inside a bucket in proportion; None where all are 0."""
    total = sum(latencies)
    if not total:
        return None
    wanted = share * total
    place = next(place for place, sofar in enumerate(accumulate(latencies)) if sofar >= wanted)
    below = sum(latencies[:place])
    lower = BOUNDS[place - 1] if place else 0
    upper = BOUNDS[place] if place < len(BOUNDS) else lower
    inside = (wanted - below) / latencies[place] if latencies[place] else 0.0
    return lower + (upper - lower) * max(inside, 0.0)


# Down in three steps, since who waits for a slow gateway waits for each message; up in small ones.
_DOWN = (0.5, 0.25, 0.1)
_UP = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
# Slow is what takes so many times as long as usual, and so much longer; well is what takes less than twice.
_SLOW_TIMES = 3.0
_SLOW_BY = 250.0  # milliseconds
_WELL_TIMES = 2.0
_DOWN_EVERY = timedelta(seconds=20)
_UP_EVERY = timedelta(seconds=30)
# So little went there that nobody knows: it is given more of it, slowly.
_UP_UNSEEN_EVERY = timedelta(minutes=2)


def next_share(share: float, lately: Vitals, usual: float | None, since: timedelta) -> float:
    """Say what share of its messages a gateway is to get: less while it is slow, then more again.

    `lately` is what was counted in the last half minute, `usual` its usual p95 in milliseconds where that
    is known, `since` how long it has had this share.
    """
    pace = _pace(lately, usual)
    if pace == "slow" and since >= _DOWN_EVERY:
        return next((step for step in _DOWN if step < share), share)
    if (pace == "well" and since >= _UP_EVERY) or (pace == "unseen" and since >= _UP_UNSEEN_EVERY):
        return next((step for step in _UP if step > share), 1.0)
    return share


def _pace(lately: Vitals, usual: float | None) -> str:
    p95 = lately.percentile(0.95)
    if p95 is None or lately.requests < ENOUGH or usual is None:
        return "unseen"
    if p95 > max(_SLOW_TIMES * usual, usual + _SLOW_BY):
        return "slow"
    return "well" if p95 < max(_WELL_TIMES * usual, usual + _SLOW_BY / 2) else "between"


def usual_p95(spans: Iterable[Vitals]) -> float | None:
    """Give the median of the p95 of several stretches of time: an hour of trouble does not become usual.

    None where there are too few that say anything.
    """
    found = sorted(
        p95 for span in spans if span.requests >= ENOUGH and (p95 := span.percentile(0.95)) is not None
    )
    return found[len(found) // 2] if len(found) >= _FEWEST_SPANS else None


_FEWEST_SPANS = 3
