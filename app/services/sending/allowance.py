"""Rate limits: which messages have tokens, and when the others may come again."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from app.domain.addresses import domain_of
from app.domain.lanes import Lane
from app.domain.routing import POOLS
from app.domain.vocabulary import Channel, MessageType, Priority
from app.errors import CountsLost, Unavailable
from app.limits.holdings import Held
from app.limits.paces import EVERYWHERE, Pace, flow_of
from app.limits.tokens import Ask, Grant, Limit, Tokens
from app.queue.rows import Claimed
from app.services.limit_counts import recount
from app.services.recipient_words import recipient_word
from app.services.sending.tools import Tools

# For counting anew, and for other processes that add what they hold.
_PATIENCE = 10.0  # seconds
_GLANCE = 0.1  # seconds

# What the reason of every message begins with that waits for tokens; those whose limit lets more through
# than before are called back by it.
LIMITED = "rate limit: "

# The limits that some messages fall under, their recipient's own, and the messages.
Group = tuple[tuple[Limit, ...], Limit | None, list[Claimed]]


class Wait(NamedTuple):
    """How long a message waits for tokens, and in words what for."""

    length: timedelta
    why: str


@dataclass(kw_only=True, slots=True)
class Allowance:
    """Waits for messages without tokens, and those that another gateway may take, by the one that is full.

    All others have theirs.
    """

    waits: dict[int, Wait] = field(default_factory=dict)
    spilled: dict[str, list[Claimed]] = field(default_factory=dict)


def allow(
    tools: Tools, lane: Lane, by_gateway: Mapping[str, Sequence[Claimed]], *, spill: bool = False
) -> Allowance:
    """Take tokens for all messages in one call.

    With `spill`, who only waits for a gateway's own limit is told apart. Raises Unavailable without Redis,
    but for emergencies, which then go without limits.
    """
    allowance = Allowance()
    if tools.tokens is None or not any(by_gateway.values()):
        return allowance
    groups = _Grouping(tools, lane.priority).over(by_gateway)
    asks = [ask for _, ask, _ in groups]
    try:
        grants = _take(tools, tools.tokens, asks, lane.priority, spill=spill)
    except Unavailable:
        if lane.priority is not Priority.P0:
            raise
        # Counted again where it turns out that the counts were lost.
        grants = [Grant(taken=ask.count, waits=(), at=tools.now()) for ask in asks]
    for (gateway, ask, messages), grant in zip(groups, grants, strict=True):
        tools.tokens.holdings.hold([message.id for message in messages[: grant.taken]], ask, grant.at)
        elsewhere = grant.taken + grant.spilled
        if grant.spilled:
            allowance.spilled.setdefault(gateway, []).extend(messages[grant.taken : elsewhere])
        for message, wait, limit in zip(messages[elsewhere:], grant.waits, grant.held_by, strict=True):
            allowance.waits[message.id] = Wait(wait, reason(limit))
    return allowance


def reason(limit: Limit) -> str:
    """Spell why a message waits."""
    return LIMITED + limit.name


def give_back(tools: Tools, messages: Iterable[Claimed]) -> None:
    """Return the tokens of messages that were not sent after all; those without any are passed over."""
    if tools.tokens is None:
        return
    held = [held for message in messages if (held := tools.tokens.holdings.release(message.id))]
    for at, asks in gathered(held).items():
        # Without Redis they are lost until their window has passed, which only makes us slower.
        with suppress(Unavailable):
            tools.tokens.give_back(asks, at)


def gathered(held: Iterable[Held]) -> dict[datetime, list[Ask]]:
    """Put tokens of single messages together, by when they were taken."""
    counts: dict[datetime, dict[int, tuple[Ask, int]]] = defaultdict(dict)
    for ask, at in held:
        counts[at][id(ask)] = (ask, counts[at].get(id(ask), (ask, 0))[1] + 1)
    return {at: [ask._replace(count=count) for ask, count in some.values()] for at, some in counts.items()}


def forget(tools: Tools, messages: Iterable[Claimed]) -> None:
    """Let go of what is known about these messages' tokens: their claim is over."""
    if tools.tokens is not None:
        tools.tokens.holdings.settled(message.id for message in messages)


def _take(
    tools: Tools, tokens: Tokens, asks: Sequence[Ask], priority: Priority, *, spill: bool
) -> list[Grant]:
    """Take tokens; where what was counted is lost, have it counted anew or wait until it is.

    That takes seconds, after which more messages would be put back than it is worth. Emergencies do not
    wait.
    """
    give_up_at = time.monotonic() + _PATIENCE
    while True:
        try:
            return tokens.take(asks, priority, spill=spill)
        except CountsLost as exc:
            if priority is Priority.P0 or time.monotonic() > give_up_at:
                raise
            if exc.seconds == 0 and recount(tools):
                continue
            if tools.stopping.wait(exc.seconds or _GLANCE):
                raise


class _Grouping:
    """Puts messages together that fall under the same limits."""

    def __init__(self, tools: Tools, priority: Priority) -> None:
        self._table = tools.catalog.limits()
        self._isps = tools.catalog.isps()
        # No pace makes an emergency wait, and where Redis hangs, neither shall asking for one.
        self._paces = {} if priority is Priority.P0 else paces_now(tools)
        self._known: dict[tuple[str, str, str], tuple[Limit, ...]] = {}
        self._same: dict[tuple[str, ...], tuple[Limit, ...]] = {}

    def over(self, by_gateway: Mapping[str, Sequence[Claimed]]) -> list[tuple[str, Ask, list[Claimed]]]:
        everything: list[tuple[str, Ask, list[Claimed]]] = []
        for gateway, messages in by_gateway.items():
            groups: dict[tuple[int, str], Group] = {}
            for message in messages:
                self._add(groups, gateway, message)
            for (_, word), (limits, own, members) in groups.items():
                ask = Ask(limits=limits, count=len(members), recipient=word, per_recipient=own)
                everything.append((gateway, ask, members))
        return everything

    def _add(self, groups: dict[tuple[int, str], Group], gateway: str, message: Claimed) -> None:
        address, domain = message.recipient_address, ""
        if message.channel == Channel.EMAIL:
            address = address.lower()
            domain = domain_of(address)
        key = (gateway, message.ip_pool or POOLS[MessageType(message.message_type)], domain)
        limits = self._known.get(key)
        if limits is None:
            limits = self._known[key] = self._limits(*key)
        own = self._table.for_recipient(address)
        word = recipient_word(address) if own else ""
        group = groups.get((id(limits), word))
        if group is None:
            groups[id(limits), word] = (limits, own, [message])
        else:
            group[2].append(message)

    def _limits(self, gateway: str, pool: str, domain: str) -> tuple[Limit, ...]:
        isp = self._isps.of(domain) if domain else None
        places = [("gateway", gateway), ("ip_pool", pool)]
        places += [(kind, name) for kind, name in (("domain", domain), ("isp", isp)) if name]
        found = [flow_of(gateway), *(limit for place in places if (limit := self._table.find(*place)))]
        for part in (EVERYWHERE, isp or domain):
            pace = self._paces.get((gateway, part)) if self._paces else None
            if pace:
                found.append(pace.limit)
        # Most domains are under no limit of their own: their messages are one group.
        return self._same.setdefault(tuple(limit.key for limit in found), tuple(found))


def paces_now(tools: Tools) -> Mapping[tuple[str, str], Pace]:
    """Give the paces that are lower than usual, at most a second old; none without Redis."""
    paces = tools.paces
    if paces is None:
        return {}
    try:
        return tools.memory.ask("paces", paces.all)
    except Unavailable:
        return {}


def look(tools: Tools) -> None:
    """See whether the tokens that this process holds must be counted again; mostly that costs nothing."""
    if tools.tokens is not None:
        with suppress(Unavailable):
            tools.tokens.look()
