"""Watching how much may be sent: what lets more through than before concerns those who wait for it."""

import re
import time
from collections.abc import Iterable
from typing import NamedTuple

import orjson
import structlog

from app.domain.capacity import EVERYTHING, Capacity, Growth, growth
from app.domain.stops import StopScope
from app.domain.vocabulary import BreakerState, Priority
from app.limits.tokens import Limit, Tokens
from app.services.sending.allowance import LIMITED, paces_now, reason
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# Whoever was about to put a message back for what it knew before has done so by then.
STALE = 15.0  # seconds
# A gateway that goes and comes again calls back once in this time: each time costs every message a claim.
SELDOM = 300.0  # seconds


class Return(NamedTuple):
    """Messages that wait for a reason like this come back within so many seconds.

    A `share` of their present wait is added. With a `gateway` only those of its `channel` do, as if they had
    not tried it.
    """

    like: str
    seconds: float = 0.0
    share: float = 0.0
    channel: str | None = None
    gateway: str | None = None


class Growing:
    """Compares what may be sent with what it was, and keeps who is to be called back until somebody is.

    What it was is kept in Redis, so that the next scheduler goes on from there; where that is lost, all who
    wait for any limit are called back once.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, Return]] = []
        self._opened: dict[str, float] = {}

    def look(self, tools: Tools) -> None:
        """Look once; raises Unavailable."""
        tokens = tools.tokens
        if tokens is None:
            return
        noted = tokens.noted()
        before = _read(noted) if noted else Capacity()
        now = self._now(tools, tokens, before)
        found, known = growth(before, now) if noted else ([Growth(0.0, limit=EVERYTHING)], now)
        for grown in found:
            self._heed(tools, tokens, grown)
        text = _spelled(known)
        if text != noted:
            tokens.note(text)

    def due(self) -> list[Return]:
        """Hand over who is to be called back by now."""
        now = time.monotonic()
        due = [each for at, each in self._due if at <= now]
        self._due = [item for item in self._due if item[0] > now]
        return list(dict.fromkeys(due))

    def _heed(self, tools: Tools, tokens: Tokens, grown: Growth) -> None:
        if grown.gateway:
            self._opened[grown.gateway] = time.monotonic()
        log.info("more may be sent", gateway=grown.gateway, limit=grown.limit, waits=round(grown.share, 3))
        tokens.move_lines(_lines(tools, grown), grown.share)
        now = time.monotonic()
        for each in _returns(grown):
            self._due.append((now, each))
            if each.share == 0:
                self._due.append((now + STALE, each))

    def _now(self, tools: Tools, tokens: Tokens, before: Capacity) -> Capacity:
        seldom = time.monotonic() - SELDOM
        gateways = {
            name: since
            for name, since in _gateways(tools).items()
            if name in before.gateways or self._opened.get(name, seldom) <= seldom
        }
        return Capacity(
            gateways=gateways,
            limits={limit.key: limit.figures for limit in _limits(tools)},
            paces={pace.limit.key: pace.per_second for pace in paces_now(tools).values()},
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


def _limits(tools: Tools) -> Iterable[Limit]:
    """List the limits whose figures may change; of the recipients' only everybody's, which names nobody."""
    table = tools.catalog.limits()
    return (*table.shared, *([table.everybody] if table.everybody else []))


def _returns(grown: Growth) -> Iterable[Return]:
    if grown.gateway:
        channel, _, gateway = grown.gateway.partition(" ")
        for like in (reason(Limit(key="gateway:%")), reason(Limit(key="pace:%|*"))):
            yield Return(like=f"{like}%", channel=channel, gateway=gateway)
    elif grown.limit == EVERYTHING:
        yield Return(like=f"{LIMITED}%")
    elif grown.limit:
        yield Return(like=_plain(reason(Limit(key=grown.limit))), share=grown.share)


def _lines(tools: Tools, grown: Growth) -> list[Limit]:
    """List the limits whose lines get shorter with it; those of recipients are short by themselves."""
    if grown.gateway:
        channel = grown.gateway.partition(" ")[0]
        names = {route.gateway for route in tools.catalog.routes() if route.channel == channel}
        own = [limit for limit in tools.catalog.limits().shared if limit.key.partition(":")[2] in names]
        return [
            *(limit for limit in own if limit.is_gateways),
            *(pace.limit for pace in paces_now(tools).values() if pace.gateway in names),
        ]
    if grown.limit in (None, EVERYTHING):
        return list(tools.catalog.limits().shared)
    return [Limit(key=grown.limit)]


def _plain(text: str) -> str:
    """Spell a text so that LIKE finds it alone."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def _read(noted: str) -> Capacity:
    return Capacity(**orjson.loads(noted))


def _spelled(known: Capacity) -> str:
    return orjson.dumps(known, option=orjson.OPT_SORT_KEYS).decode()
