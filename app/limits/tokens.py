"""Rate limits: tokens for whole batches, and a time to come back for each message that got none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from math import floor

import orjson
import redis

from app.domain.vocabulary import Priority
from app.limits.scripts import Clock, milliseconds, script

_UNSTOPPED = -1


class Window(Enum):
    """The lengths that can be limited, each as so many buckets of so many milliseconds.

    One bucket more than a window is long counts in full, so a window reaches buckets / (buckets + 1)
    of its limit at least: 98 % of the shortest, 99 % of the longest.
    """

    SECOND = (50, 20)
    MINUTE = (60, 1_000)
    HOUR = (60, 60_000)
    DAY = (96, 900_000)

    @property
    def buckets(self) -> int:
        """How many buckets make up the window's length."""
        return self.value[0]

    @property
    def width(self) -> int:
        """Milliseconds that one bucket covers."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One row of rate_limits; `key` is "<type>:<what>", as in "domain:gmail.com". None is no limit."""

    key: str
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None

    def windows(self) -> Iterable[tuple[Window, int]]:
        """Give the windows that are limited, with how many messages each may hold."""
        figures = (self.per_second, self.per_minute, self.per_hour, self.per_day)
        return [(window, most) for window, most in zip(Window, figures, strict=True) if most is not None]

    def stops(self, priority: Priority) -> bool:
        """Tell whether it may make a message wait: P0 is counted everywhere, but waits for gateways only."""
        return priority is not Priority.P0 or self.key.startswith("gateway:")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """So many messages that all fall under these limits."""

    limits: tuple[Limit, ...]
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What an ask got: tokens for its first `taken` messages, a wait for each of the others, ascending.

    `at` is when, by the server's clock; `Tokens.give_back` wants to know it.
    """

    taken: int
    waits: tuple[timedelta, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """How many tokens a limit's windows hold now; None where there is no such window."""

    per_second: int | None
    per_minute: int | None
    per_hour: int | None
    per_day: int | None


class Tokens:
    """The rate limits that all workers share. Every method is one round trip and may raise Unavailable.

    `reserve` is the share of each window that only P0 and P4 may use, half of it P0 alone. `clock`
    replaces the server's own clock in tests.
    """

    def __init__(
        self, client: redis.Redis, *, prefix: str, reserve: float, clock: Clock | None = None
    ) -> None:
        self._prefix = prefix
        self._reserve = reserve
        self._clock = clock
        self._take = script(client, "take")
        self._count = script(client, "count")
        self._usage = script(client, "usage")

    def take(self, asks: Sequence[Ask], priority: Priority) -> list[Grant]:
        """Take tokens, a message's from all of its windows or from none; one grant for each ask."""
        keys: list[str] = []
        shapes: list[tuple[int, int, int]] = []
        numbers: dict[str, list[int]] = {}
        wanted = []
        for ask in asks:
            mine = [ask.count]
            for limit in ask.limits:
                if limit.key not in numbers:
                    numbers[limit.key] = self._open(limit, priority, keys, shapes)
                mine += numbers[limit.key]
            wanted.append(mine)
        request: dict[str, object] = {"line": f"line:{priority}", "windows": shapes, "asks": wanted}
        if self._clock is not None:
            request["now"] = milliseconds(self._clock)
        now, *answers = self._take(keys, [orjson.dumps(request)])
        at = datetime.fromtimestamp(now / 1000, UTC)
        return [Grant(taken=taken, waits=_waits(waits), at=at) for taken, *waits in answers]

    def give_back(self, asks: Sequence[Ask], at: datetime) -> None:
        """Return the tokens of messages that did not go after all; `at` as in the grant they came with."""
        corrections: dict[Limit, int] = {}
        for ask in asks:
            for limit in ask.limits:
                corrections[limit] = corrections.get(limit, 0) - ask.count
        self._correct({limit: [(at, count)] for limit, count in corrections.items()}, only_empty=False)

    def restore(self, sent: Mapping[Limit, Sequence[tuple[datetime, int]]]) -> None:
        """Count what was sent before Redis was lost; windows that hold something already stay as they are."""
        self._correct(sent, only_empty=True)

    def usage(self, limits: Sequence[Limit]) -> list[Usage]:
        """Tell what the windows of each limit hold now, for showing and for rate_limits' counters."""
        windows = [(limit, window) for limit in limits for window, _ in limit.windows()]
        shapes = [figure for _, window in windows for figure in window.value]
        keys = [self._key(limit, window) for limit, window in windows]
        held = dict(zip(windows, self._usage(keys, [milliseconds(self._clock), *shapes]), strict=True))
        return [
            Usage(
                per_second=held.get((limit, Window.SECOND)),
                per_minute=held.get((limit, Window.MINUTE)),
                per_hour=held.get((limit, Window.HOUR)),
                per_day=held.get((limit, Window.DAY)),
            )
            for limit in limits
        ]

    def _open(
        self, limit: Limit, priority: Priority, keys: list[str], shapes: list[tuple[int, int, int]]
    ) -> list[int]:
        """Add a limit's windows to a request; returns their numbers in it."""
        numbers = []
        for window, most in limit.windows():
            allowed = self._allowed(most, priority) if limit.stops(priority) else _UNSTOPPED
            keys.append(self._key(limit, window))
            shapes.append((allowed, *window.value))
            numbers.append(len(keys))
        return numbers

    def _correct(self, changes: Mapping[Limit, Sequence[tuple[datetime, int]]], *, only_empty: bool) -> None:
        keys: list[str] = []
        figures: list[int] = []
        for limit, corrections in changes.items():
            for window, _ in limit.windows():
                keys.append(self._key(limit, window))
                figures += (window.buckets, window.width, len(corrections))
                for at, count in corrections:
                    figures += (round(at.timestamp() * 1000), count)
        if keys:
            self._count(keys, [milliseconds(self._clock), int(only_empty), *figures])

    def _key(self, limit: Limit, window: Window) -> str:
        # One hash tag for all: a message's limits are taken together, so they must live together.
        return f"{self._prefix}{{limits}}:{window.name.lower()}:{limit.key}"

    def _allowed(self, most: int, priority: Priority) -> int:
        """Give a priority's share of a window; never nothing where the limit itself is something."""
        if priority is Priority.P0:
            return most
        kept = self._reserve / 2 if priority is Priority.P4 else self._reserve
        return max(min(most, 1), floor(most * (1 - kept) + 1e-9))


def _waits(waits: Sequence[int]) -> tuple[timedelta, ...]:
    return tuple(timedelta(milliseconds=wait) for wait in waits)
