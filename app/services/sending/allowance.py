"""Rate limits: which messages have tokens, and when the others may come again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.addresses import domain_of
from app.domain.vocabulary import Channel, Priority
from app.errors import Unavailable
from app.limits.tokens import Ask, Limit
from app.queue.rows import Claimed
from app.services.catalog import LimitRow
from app.services.sending.tools import Tools


@dataclass(kw_only=True, slots=True)
class Allowance:
    """Waits for messages without tokens, and what was taken for the others, to be given back unused."""

    waits: dict[int, timedelta] = field(default_factory=dict)
    taken: dict[int, tuple[Limit, ...]] = field(default_factory=dict)
    at: datetime | None = None

    def add(self, later: "Allowance") -> None:
        """Take in what was taken afterwards for other messages of the same claim."""
        self.taken.update(later.taken)
        self.at = later.at or self.at


def allow(tools: Tools, priority: Priority, by_gateway: Mapping[str, Sequence[Claimed]]) -> Allowance:
    """Take tokens for all messages in one call.

    Raises Unavailable without Redis, but for emergencies, which then go without limits.
    """
    allowance = Allowance()
    if tools.tokens is None:
        return allowance
    groups = _groups(_limits(tools.catalog.limits()), by_gateway)
    asks = [Ask(limits=limits, count=len(messages)) for limits, messages in groups.items()]
    if not asks:
        return allowance
    try:
        grants = tools.tokens.take(asks, priority)
    except Unavailable:
        if priority is Priority.P0:
            return allowance
        raise
    for (limits, messages), grant in zip(groups.items(), grants, strict=True):
        allowance.at = grant.at
        for message in messages[: grant.taken]:
            allowance.taken[message.id] = limits
        for message, wait in zip(messages[grant.taken :], grant.waits, strict=True):
            allowance.waits[message.id] = wait
    return allowance


def give_back(tools: Tools, allowance: Allowance, messages: Iterable[Claimed]) -> None:
    """Return the tokens of messages that were not sent after all."""
    counts: dict[tuple[Limit, ...], int] = defaultdict(int)
    for message in messages:
        limits = allowance.taken.pop(message.id, None)
        if limits:
            counts[limits] += 1
    if counts and tools.tokens and allowance.at:
        asks = [Ask(limits=limits, count=count) for limits, count in counts.items()]
        # Without Redis they are lost until their window has passed, which only makes us slower.
        with suppress(Unavailable):
            tools.tokens.give_back(asks, allowance.at)


def _limits(rows: Sequence[LimitRow]) -> dict[str, Limit]:
    return {
        f"{row.limit_type}:{row.limit_key}": Limit(
            key=f"{row.limit_type}:{row.limit_key}",
            per_second=row.per_second,
            per_minute=row.per_minute,
            per_hour=row.per_hour,
            per_day=row.per_day,
        )
        for row in rows
    }


def _groups(
    limits: Mapping[str, Limit], by_gateway: Mapping[str, Sequence[Claimed]]
) -> dict[tuple[Limit, ...], list[Claimed]]:
    """Put messages together that fall under the same limits, leaving out those under none."""
    groups: dict[tuple[Limit, ...], list[Claimed]] = defaultdict(list)
    for gateway, messages in by_gateway.items():
        for message in messages:
            found = tuple(limits[key] for key in _keys(gateway, message) if key in limits)
            if found:
                groups[found].append(message)
    return groups


def _keys(gateway: str, message: Claimed) -> tuple[str, ...]:
    common = (f"gateway:{gateway}", f"ip_pool:{message.ip_pool}")
    if message.channel == Channel.EMAIL:
        return (f"domain:{domain_of(message.recipient_address)}", *common)
    return common
