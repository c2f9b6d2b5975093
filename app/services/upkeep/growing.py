"""Watching how much may be sent: what lets more through than before concerns those who wait for it."""

import re
import time
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from app.domain.capacity import EVERYTHING, Capacity, Growth, growth
from app.domain.stops import StopScope
from app.domain.vocabulary import BreakerState, Priority
from app.limits.paces import Pace
from app.limits.tokens import Limit, Tokens
from app.services.sending.allowance import LIMITED, reason
from app.services.sending.assignment import NONE_HEALTHY, NONE_IN_USE
from app.services.sending.tools import Tools

# Whoever was about to put a message back for what was so a moment ago has done so by then.
STALE = 60.0  # seconds
# A gateway that goes and comes again calls back once in this time: each time costs every message a claim.
SELDOM = 300.0  # seconds


class Return(NamedTuple):
    """Messages that wait for a reason like this come back within so many seconds.

    A `share` of their present wait is added. With a `gateway` only those of its `channel` do; who had tried
    it goes there. Where the wait was `ours`, it was added to their time. `retries` are those whose last try
    failed by a gateway's fault.
    """

    like: str = ""
    seconds: float = 0.0
    share: float = 0.0
    channel: str | None = None
    gateway: str | None = None
    ours: bool = True
    retries: bool = False


class Growing:
    """Compares what may be sent with what it was, and keeps who is to be called back until they are.

    What it was is kept in Redis until then, so that another scheduler goes on from there; where that is
    lost, all who wait for any limit are called back once.
    """

    def __init__(self) -> None:
        self._note: str | None = None
        self._seen = Capacity()
        self._due: list[tuple[float, Growth, bool]] = []
        self._opened: dict[str, float] = {}

    def look(self, tools: Tools) -> None:
        """Look once; raises Unavailable."""
        tokens = tools.tokens
        if tokens is None:
            return
        note = tokens.noted()
        if note is None or note != self._note:
            # Another scheduler was at work meanwhile, or nobody yet.
            self._note, self._seen, self._due = note, _read(note) or Capacity(), []
        paces = tools.paces.all().values() if tools.paces else ()
        now = self._now(tools, tokens, paces)
        found, self._seen = growth(self._seen, now)
        if _read(note) is None:
            found, self._note = [Growth(0.0, limit=EVERYTHING)], _spelled(now)
            tokens.note(self._note)
        for grown in found:
            self._expect(grown)

    def due(self, tools: Tools) -> list[Return]:
        """Hand over who is to be called back by now, their lines being shorter; raises Unavailable."""
        now = time.monotonic()
        due = dict.fromkeys((grown, again) for at, grown, again in self._due if at <= now)
        if due and tools.tokens:
            paces = [pace.limit for pace in tools.paces.all().values()] if tools.paces else []
            for grown, _ in due:
                tools.tokens.move_lines(_lines(tools, paces, grown), grown.share)
        self._due = [item for item in self._due if item[0] > now]
        return [each for grown, again in due for each in _returns(grown, again=again)]

    def settle(self, tools: Tools) -> None:
        """Note what was seen, once all who are handed over are called back; raises Unavailable."""
        text, now = _spelled(self._seen), time.monotonic()
        if tools.tokens and text != self._note and all(at > now for at, *_ in self._due):
            tools.tokens.note(text)
            self._note = text

    def _expect(self, grown: Growth) -> None:
        """Have them called back now, and again those whom somebody puts back meanwhile without knowing."""
        now = time.monotonic()
        if grown.gateway:
            self._opened[grown.gateway] = now
        self._due.append((now, grown, False))
        if grown.share == 0:
            self._due.append((now + STALE, grown, True))

    def _now(self, tools: Tools, tokens: Tokens, paces: Iterable[Pace]) -> Capacity:
        seldom = time.monotonic() - SELDOM
        return Capacity(
            gateways={
                name: since
                for name, since in _gateways(tools).items()
                if name in self._seen.gateways or self._opened.get(name, seldom) <= seldom
            },
            limits={limit.key: limit.figures for limit in tools.catalog.limits().shared},
            paces={pace.limit.key: pace.per_second for pace in paces},
            resets=tokens.resets(),
        )


def _gateways(tools: Tools) -> dict[str, str]:
    """Give those that take what comes, by "<channel> <name>", and since when each has its place."""
    stopped = tools.stops.of_lane(Priority.P3).keys.get(StopScope.GATEWAY, {})
    routes = [
        route
        for route in tools.catalog.routes()
        if route.enabled and route.weight > 0 and not route.drained and route.gateway not in stopped
    ]
    states = tools.breakers.states([(route.channel, route.gateway) for route in routes])
    return {
        f"{route.channel} {route.gateway}": route.ordered_at.isoformat() if route.ordered_at else ""
        for route in routes
        if states[route.channel, route.gateway].state is BreakerState.CLOSED
    }


def _returns(grown: Growth, *, again: bool) -> Iterable[Return]:
    """Say who comes; `again` leaves out retries, which have just used up another attempt."""
    if grown.gateway:
        channel, _, gateway = grown.gateway.partition(" ")
        for some in (Limit(key="gateway:%"), Limit(key="pace:%|*")):
            yield Return(like=reason(some), channel=channel, gateway=gateway)
        for like in (NONE_HEALTHY, f"{NONE_IN_USE}%"):
            yield Return(like=like, channel=channel, gateway=gateway, ours=False)
        if not again:
            yield Return(channel=channel, gateway=gateway, ours=False, retries=True)
    elif grown.limit == EVERYTHING:
        yield Return(like=f"{LIMITED}%")
    elif grown.limit:
        yield Return(like=_plain(reason(Limit(key=grown.limit))), share=grown.share)


def _lines(tools: Tools, paces: Iterable[Limit], grown: Growth) -> list[Limit]:
    """List the limits whose lines get shorter with it."""
    shared = tools.catalog.limits().shared
    if grown.limit == EVERYTHING:
        return [*shared, *paces]
    if grown.limit:
        return [Limit(key=grown.limit)]
    channel = (grown.gateway or "").partition(" ")[0]
    names = {route.gateway for route in tools.catalog.routes() if route.channel == channel}
    return [limit for limit in (*shared, *paces) if limit.is_gateways and _gateway_of(limit) in names]


def _gateway_of(limit: Limit) -> str:
    return limit.key.partition(":")[2].partition("|")[0]


def _plain(text: str) -> str:
    """Spell a text so that LIKE finds it alone."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def _read(note: str | None) -> Capacity | None:
    """Read a note; None where there is none that this version can read."""
    try:
        return Capacity(**orjson.loads(note or ""))
    except (orjson.JSONDecodeError, TypeError):
        return None


def _spelled(known: Capacity) -> str:
    return orjson.dumps(known, option=orjson.OPT_SORT_KEYS).decode()
