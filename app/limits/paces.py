"""Paces: how fast gateways are sent to after they said "too fast", until it is as it was before."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor

import redis

from app.db.redis import translated
from app.limits.scripts import Clock, milliseconds, script
from app.limits.windows import Limit, Window

# All that a gateway is sent, wherever it goes.
EVERYWHERE = "*"

_BY = 0.5
_LEAST_SHARE = 0.05
_LEAST = 1.0  # messages a second
# What a quiet gateway was sent says little about what it takes.
_LEAST_USUAL = 10.0  # messages a second
# A limit refuses most of what is above it; what refuses fewer means single messages. Where less than so
# much is refused in the time that is looked at, sending more slowly would change nothing.
_NOTABLE = 0.02
_FEW = 5
_DOUBLING = timedelta(seconds=150)
# Answers to requests that were on the wire together say the same thing.
_ONCE_WITHIN = timedelta(seconds=5)
_MEASURED = 10  # seconds
_LONGEST_WHY = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a gateway is sent to, for an ISP, a domain or EVERYWHERE, in messages a second.

    `usual` is what it was sent before; `times` is how often it was lowered since.
    """

    gateway: str
    part: str
    per_second: float
    usual: float
    lowered_at: datetime
    times: int
    why: str

    @property
    def factor(self) -> float:
        """Tell which share of the usual that is, in (0, 1]."""
        return min(1.0, self.per_second / self.usual)

    @property
    def limit(self) -> Limit:
        """Give it as a limit; what is slower than one a second is counted by the minute."""
        key = f"pace:{self.gateway}|{self.part}"
        if self.per_second >= 1:
            return Limit(key=key, per_second=floor(self.per_second))
        return Limit(key=key, per_minute=max(1, floor(self.per_second * 60)))


def flow_of(gateway: str) -> Limit:
    """Give what counts all that a gateway is sent; it stops nobody."""
    return Limit(key=f"flow:{gateway}", per_minute=1, counted=True)


class Paces:
    """The paces that all workers keep. Every method is one round trip and may raise Unavailable.

    `prefix` is that of the limits, since what is sent is counted there. `clock` replaces the server's own
    clock in tests.
    """

    def __init__(self, client: redis.Redis, *, prefix: str, clock: Clock | None = None) -> None:
        self._client = client
        self._prefix = f"{prefix}{{limits}}:"
        self._clock = clock
        self._lower = script(client, "windows", "pace_lower")

    def lower(self, gateway: str, part: str, *, share: float, why: str, times: int = 1) -> Pace | None:
        """Send more slowly; None where that was done a moment ago, or where hardly any were refused.

        `share` is the part's of all that the gateway is sent, in (0, 1]; `times` is how many were refused.
        """
        name = f"{gateway}|{part}"
        flow = f"{self._prefix}{Window.MINUTE.name.lower()}:{flow_of(gateway).key}"
        figures = (_BY, _LEAST_SHARE, _LEAST, _ms(_DOUBLING), _ms(_ONCE_WITHIN), _MEASURED)
        weights = (times, _NOTABLE, _FEW, _LEAST_USUAL)
        words = " ".join(why.split())[:_LONGEST_WHY]
        now = milliseconds(self._clock)
        pace = self._lower(
            [self._key, flow, f"{self._key}:said"], [now, name, share, words, *figures, *weights]
        )
        return None if pace is None else _read(name, pace)

    def all(self) -> dict[tuple[str, str], Pace]:
        """Give the paces that are lower than usual now, by gateway and part; they creep up by themselves."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(self._key)
            (seconds, microseconds), found = pipe.execute()
        now = datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)
        grown = [
            _grown(_read(name, pace), self._clock() if self._clock else now) for name, pace in found.items()
        ]
        return {(pace.gateway, pace.part): pace for pace in grown if pace.factor < 1}

    def forget(self, gateway: str, part: str) -> None:
        """Send as fast as usual again."""
        with translated():
            self._client.hdel(self._key, f"{gateway}|{part}")

    def forget_all(self) -> None:
        """Send everything as fast as usual again."""
        with translated():
            self._client.delete(self._key)

    def tidy(self) -> None:
        """Remove those that are as usual again; two round trips."""
        current = {f"{gateway}|{part}" for gateway, part in self.all()}
        with translated():
            over = [name for name in self._client.hkeys(self._key) if name not in current]
            if over:
                self._client.hdel(self._key, *over)

    @property
    def _key(self) -> str:
        return f"{self._prefix}paces"


def _read(name: str, pace: str) -> Pace:
    gateway, _, part = name.partition("|")
    per_second, usual, lowered_at, times, why = pace.split(" ", 4)
    return Pace(
        gateway=gateway,
        part=part,
        per_second=float(per_second),
        usual=float(usual),
        lowered_at=datetime.fromtimestamp(int(lowered_at) / 1000, UTC),
        times=int(times),
        why=why,
    )


def _grown(pace: Pace, now: datetime) -> Pace:
    """Give a pace as it is by now."""
    doublings: float = max(0.0, (now - pace.lowered_at) / _DOUBLING)
    grown = min(pace.usual, pace.per_second * 2.0 ** min(doublings, 30.0))
    return Pace(
        gateway=pace.gateway,
        part=pace.part,
        per_second=grown,
        usual=pace.usual,
        lowered_at=pace.lowered_at,
        times=pace.times,
        why=pace.why,
    )


def _ms(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)
