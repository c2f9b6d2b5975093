"""Rate limits: tokens for whole batches, and a time to come back for each message that got none."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import redis

from app.db.redis import translated
from app.domain.vocabulary import Priority
from app.errors import CountsLost
from app.limits.forgetting import resets_key
from app.limits.holdings import Holdings
from app.limits.request import TakeRequest
from app.limits.scripts import Clock, milliseconds, script
from app.limits.windows import Ask, Full, Grant, Limit, Usage, Window, allowed

__all__ = ["Ask", "Full", "Grant", "Limit", "Tokens", "Usage", "Window"]

_UNSTOPPED = -1
# A process whose threads are all on the wire looks this often whether its tokens must be counted again.
_LOOK_EVERY = 1.0  # seconds
# Clocks of processes and of PostgreSQL are not further apart; what was settled within this counts twice.
_APART = timedelta(milliseconds=200)
# So many windows are corrected in one call.
_AT_ONCE = 2_000

Corrections = Sequence[tuple[datetime, int]]
# One recipient's windows: the word that names it, and the figures.
Recipient = tuple[str, Limit]


class Tokens:
    """The rate limits that all workers share. Most methods are one round trip; all may raise Unavailable.

    `reserve` is the share of each window that only P0 and P4 may use, half of it P0 alone. Where counts
    are `restored` by somebody after Redis was lost, nothing is taken before that was done: `take` raises
    CountsLost. `told` hears of full windows, once in a window's length. `clock` replaces the server's own
    clock in tests.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str,
        reserve: float,
        restored: bool = False,
        told: Callable[[Full], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._reserve = reserve
        self._restored = restored
        self._told = told
        self._clock = clock
        self._take = script(client, "windows", "take")
        self._count = script(client, "windows", "count")
        self._usage = script(client, "windows", "usage")
        self._move = script(client, "windows", "lines_move")
        self._life = ""
        self._adopting = threading.Lock()
        self._looked_at = 0.0
        self.holdings = Holdings()

    def take(self, asks: Sequence[Ask], priority: Priority, *, spill: bool = False) -> list[Grant]:
        """Take tokens, a message's from all of its windows or from none; one grant for each ask.

        With `spill`, messages that only a gateway's own limits stop are given back without a time. Raises
        CountsLost where somebody has to count anew first.
        """
        request = self._request(asks, priority)
        while True:
            now, state, *answer = self._take(request.keys, [self._spelled(request, priority, spill=spill)])
            if state == "taken":
                break
            self._recover(state, answer)
        at = datetime.fromtimestamp(now / 1000, UTC)
        taken, spilled, waits, full, deciding = answer
        self._tell(request, full, priority)
        held_by = [request.place(number)[0] for number in deciding]
        return _grants(asks, taken, spilled, list(zip(waits, held_by, strict=True)), at)

    def give_back(self, asks: Sequence[Ask], at: datetime) -> None:
        """Return the tokens of messages that did not go after all; `at` as in the grant they came with."""
        self._correct(*_summed((ask, at, -ask.count) for ask in asks))

    def restore(self, sent: Mapping[Limit, Corrections]) -> None:
        """Count what was sent before a limit had windows; those that hold something stay as they are."""
        self._correct(sent, {}, keep=True)

    def usage(self, limits: Sequence[Limit]) -> list[Usage]:
        """Tell what the windows of each limit hold now, for showing and for rate_limits' counters."""
        windows = [(limit, window) for limit in limits for window, _ in limit.windows()]
        held = dict(zip(windows, self._ask(windows) or [0] * len(windows), strict=True))
        return [
            Usage(
                per_second=held.get((limit, Window.SECOND)),
                per_minute=held.get((limit, Window.MINUTE)),
                per_hour=held.get((limit, Window.HOUR)),
                per_day=held.get((limit, Window.DAY)),
            )
            for limit in limits
        ]

    def dump(self, limits: Sequence[Limit]) -> dict[tuple[Limit, Window], list[tuple[int, int]]] | None:
        """Give each window's buckets, as the ms when each begins and its tokens; None where they are lost."""
        windows = [(limit, window) for limit in limits for window, _ in limit.windows()]
        found = self._ask(windows, whole=True)
        if found is None:
            return None
        return {
            place: list(zip(flat[::2], flat[1::2], strict=True))
            for place, flat in zip(windows, found, strict=True)
        }

    def reset(self, limits: Iterable[Limit]) -> None:
        """Forget what these limits have counted, and who stands in their lines."""
        known = list(limits)
        if not known:
            return
        with translated(), self._client.pipeline() as pipe:
            pipe.delete(*(self._key(limit, window) for limit in known for window in Window))
            for limit in known:
                if not limit.is_recipients:
                    pipe.hincrby(resets_key(self._prefix), limit.key)
            pipe.execute()

    def resets(self) -> dict[str, int]:
        """Count how often each limit was reset, by its key, and all together under capacity.EVERYTHING.

        Recipients' are not counted, since their keys are addresses.
        """
        with translated():
            times = self._client.hgetall(resets_key(self._prefix))
        return {str(key): int(count) for key, count in times.items()}

    def move_lines(self, limits: Iterable[Limit], share: float) -> None:
        """Let those who come next wait behind lines that are a `share` as long, 0 for none.

        For when all who stood in them are given such times.
        """
        keys = [self._key(limit, window) for limit in limits for window in Window]
        lines = [_line(priority) for priority in Priority]
        for first in range(0, len(keys), _AT_ONCE):
            self._move(keys[first : first + _AT_ONCE], [milliseconds(self._clock), share, *lines])

    def noted(self) -> str | None:
        """Give what was noted last."""
        with translated():
            text = self._client.get(self._note_key)
        return None if text is None else str(text)

    def note(self, text: str) -> None:
        """Keep a text for whoever looks after those who wait, on whatever host that is next."""
        with translated():
            self._client.set(self._note_key, text)

    def recount(
        self,
        sent: Mapping[Limit, Corrections],
        recipients: Mapping[Recipient, Corrections],
        *,
        snapshot: datetime,
        settling: timedelta,
    ) -> None:
        """Count what PostgreSQL knew at `snapshot`, and let tokens be taken again after `settling`.

        Until then other processes add what they hold. Where the counts are there, nothing is changed.
        """
        opens_at = (self._now() + settling).timestamp()
        life = f" {round(snapshot.timestamp() * 1000)} {round(opens_at * 1000)}"
        self._correct(sent, recipients, anew=True)
        self._count([self._life_key], [self._json(life=life, windows=[], anew=True)])

    def look(self) -> None:
        """See, once a second, whether this process's tokens must be counted again."""
        if not self._restored or time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        with translated():
            life = self._client.get(self._life_key)
        if life and self._life and life != self._life:
            self._adopt(str(life))

    def _recover(self, state: str, answer: Sequence[Any]) -> None:
        """Do what lets the same tokens be asked for again, or raise."""
        if state == "lost":
            raise CountsLost("Redis lost what the rate limits had counted")
        if state == "closed":
            raise CountsLost("the rate limits are being counted anew", seconds=answer[0] / 1000)
        self._adopt(str(answer[0]))

    def _adopt(self, life: str) -> None:
        """Count what this process holds and nobody else can know of."""
        with self._adopting:
            if life == self._life:
                return
            snapshot = datetime.fromtimestamp(int(life.split(" ")[1]) / 1000, UTC)
            held = Counter(self.holdings.unknown_since(snapshot - _APART))
            self._correct(*_summed((ask, at, count) for (ask, at), count in held.items()))
            self._life = life

    def _request(self, asks: Sequence[Ask], priority: Priority) -> TakeRequest:
        def share(limit: Limit, most: int) -> int:
            return allowed(most, priority, self._reserve) if limit.stops(priority) else _UNSTOPPED

        request = TakeRequest(self._life_key, self._key, share)
        for ask in asks:
            request.add(ask)
        return request

    def _spelled(self, request: TakeRequest, priority: Priority, *, spill: bool) -> bytes:
        content = request.content()
        content |= {"line": _line(priority), "spill": spill, "urgent": priority is Priority.P0}
        return self._json(**content, **({"life": self._life or "?"} if self._restored else {}))

    def _tell(self, request: TakeRequest, full: Sequence[int], priority: Priority) -> None:
        if self._told is None:
            return
        for number in dict.fromkeys(full):
            limit, window = request.place(number)
            self._told(Full(limit=limit, window=window, priority=priority))

    def _ask(self, windows: Sequence[tuple[Limit, Window]], *, whole: bool = False) -> list[Any] | None:
        shapes = [figure for _, window in windows for figure in window.value]
        keys = [self._life_key, *(self._key(limit, window) for limit, window in windows)]
        guarded = {"life": True} if self._restored and whole else {}
        answer: list[Any] | None = self._usage(keys, [self._json(windows=shapes, whole=whole, **guarded)])
        return answer

    def _correct(
        self,
        shared: Mapping[Limit, Corrections],
        recipients: Mapping[Recipient, Corrections],
        **modes: bool,
    ) -> None:
        places = [
            (self._key(limit, window), 0, window, some)
            for limit, some in shared.items()
            for window, _ in limit.windows()
        ] + [
            (self._recipient_key(word, window), 1, window, some)
            for (word, limit), some in recipients.items()
            for window, _ in limit.windows()
        ]
        for first in range(0, len(places), _AT_ONCE):
            keys = [self._life_key]
            figures: list[int] = []
            for key, single, window, some in places[first : first + _AT_ONCE]:
                keys.append(key)
                times = _by_bucket(some, window)
                figures += (single, window.buckets, window.width, len(times))
                for at, count in times:
                    figures += (at, count)
            self._count(keys, [self._json(windows=figures, **modes)])

    def _json(self, **content: Any) -> bytes:
        if self._clock is not None:
            content["now"] = round(self._clock().timestamp() * 1000)
        return orjson.dumps(content)

    def _now(self) -> datetime:
        if self._clock is not None:
            return self._clock()
        with translated():
            seconds, microseconds = self._client.time()
        return datetime.fromtimestamp(seconds + microseconds / 1_000_000, UTC)

    @property
    def _life_key(self) -> str:
        return f"{self._prefix}{{limits}}:life"

    @property
    def _note_key(self) -> str:
        return f"{self._prefix}{{limits}}:note"

    def _key(self, limit: Limit, window: Window) -> str:
        # One hash tag for all: a message's limits are taken together, so they must live together.
        return f"{self._prefix}{{limits}}:{window.name.lower()}:{limit.key}"

    def _recipient_key(self, word: str, window: Window) -> str:
        return f"{self._prefix}{{limits}}:{window.name.lower()}:r:{word}"


def _line(priority: Priority) -> str:
    return f"line:{priority}"


def _grants(
    asks: Sequence[Ask],
    taken: Sequence[int],
    spilled: Sequence[int],
    waits: Sequence[tuple[int, Limit]],
    at: datetime,
) -> list[Grant]:
    grants, used = [], 0
    # Mostly an ask is one recipient's only message, and all goes well: these share a grant.
    whole: dict[int, Grant] = {}
    for ask, some, elsewhere in zip(asks, taken, spilled, strict=True):
        left = ask.count - some - elsewhere
        if not left and not elsewhere:
            grants.append(whole.get(some) or whole.setdefault(some, Grant(taken=some, waits=(), at=at)))
            continue
        own = waits[used : used + left]
        used += left
        lengths = tuple(timedelta(milliseconds=wait) for wait, _ in own)
        held_by = tuple(limit for _, limit in own)
        grants.append(Grant(taken=some, waits=lengths, held_by=held_by, at=at, spilled=elsewhere))
    return grants


def _by_bucket(corrections: Corrections, window: Window) -> list[tuple[int, int]]:
    """Add up what falls into the same bucket, as the ms when it begins; without what is surely too old."""
    times: Counter[int] = Counter()
    for at, count in corrections:
        milliseconds = round(at.timestamp() * 1000)
        times[milliseconds - milliseconds % window.width] += count
    oldest = max(times, default=0) - 2 * window.buckets * window.width
    return [(at, count) for at, count in times.items() if at >= oldest]


def _summed(
    changes: Iterable[tuple[Ask, datetime, int]],
) -> tuple[dict[Limit, Corrections], dict[Recipient, Corrections]]:
    """Add up changes by window and time."""
    shared: dict[Limit, Counter[datetime]] = {}
    recipients: dict[Recipient, Counter[datetime]] = {}
    for ask, at, count in changes:
        for limit in ask.limits:
            shared.setdefault(limit, Counter())[at] += count
        if ask.per_recipient is not None:
            recipients.setdefault((ask.recipient, ask.per_recipient), Counter())[at] += count
    return (
        {limit: list(times.items()) for limit, times in shared.items()},
        {place: list(times.items()) for place, times in recipients.items()},
    )
