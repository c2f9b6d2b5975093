"""Stops: what an operator has told us not to send, and how sending grows again after one ends."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import ceil

from app.domain.vocabulary import Priority

# After a gradual resume the rate grows by tenths, from the first one on.
STEPS = 10


class StopScope(StrEnum):
    """What a stop is about; all but ALL have a key."""

    ALL = "all"
    CHANNEL = "channel"
    GATEWAY = "gateway"
    PRIORITY = "priority"
    CLIENT = "client"
    TEMPLATE = "template"
    BATCH = "batch"


# A claim can leave these out; of the others, each message has to be looked at.
FLOW_SCOPES = frozenset({StopScope.ALL, StopScope.CHANNEL, StopScope.PRIORITY, StopScope.CLIENT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """One stop. Times are the database's; from `ends_at` to `ramp_until` the rate grows again.

    `key` names the thing: a channel, gateway, priority or template by its word, a client or batch by its
    id in digits; ALL has none.
    """

    id: int
    scope: StopScope
    key: str | None
    includes_p0: bool
    begins_at: datetime
    ends_at: datetime | None = None
    ramp_until: datetime | None = None

    def share(self, now: datetime) -> float:
        """Say which share of the usual rate may go: none in force, all before and after, tenths between."""
        if now < self.begins_at:
            return 1.0
        if self.ends_at is None or now < self.ends_at:
            return 0.0
        if self.ramp_until is None or now >= self.ramp_until:
            return 1.0
        passed = (now - self.ends_at) / (self.ramp_until - self.ends_at)
        return max(1, ceil(passed * STEPS)) / STEPS

    def concerns(self, priority: Priority) -> bool:
        """Tell whether it can be about messages of this priority at all."""
        if priority is Priority.P0 and not self.includes_p0:
            return False
        return self.scope is not StopScope.PRIORITY or self.key == priority


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneStops:
    """What is stopped for one priority at one moment.

    `whole` is the stop of the whole lane; `keys` has the others by scope and key. `growing` are
    those that ended, each with its share of the usual rate.
    """

    whole: Stop | None = None
    keys: Mapping[StopScope, Mapping[str, Stop]] = field(default_factory=dict)
    growing: tuple[tuple[Stop, float], ...] = ()

    def of(self, scope: StopScope, key: str | None) -> Stop | None:
        """Give the stop of a thing, if it is under one of its own."""
        return None if key is None else self.keys.get(scope, _NO_KEYS).get(key)

    def of_flow(self, channel: str, client: int) -> Stop | None:
        """Give the stop that a caller's messages on a channel are under as a whole, if any."""
        return self.whole or self.of(StopScope.CHANNEL, channel) or self.of(StopScope.CLIENT, str(client))

    def of_content(self, batch: int | None, template: str | None) -> Stop | None:
        """Give the stop that a message is under for what it belongs to, if any."""
        of_batch = None if batch is None else self.of(StopScope.BATCH, str(batch))
        return of_batch or self.of(StopScope.TEMPLATE, template)

    def growth(self, scopes: Iterable[StopScope]) -> Mapping[StopScope, Mapping[str, float]]:
        """Give the shares of what grows again, by scope and key; of several the smallest."""
        found: dict[StopScope, dict[str, float]] = {}
        for stop, share in self.growing:
            if stop.scope in scopes:
                of_scope = found.setdefault(stop.scope, {})
                key = stop.key or ""
                of_scope[key] = min(share, of_scope.get(key, 1.0))
        return found


_NO_KEYS: Mapping[str, Stop] = {}
NOTHING_STOPPED = LaneStops()


def stops_of_lane(stops: Iterable[Stop], priority: Priority, now: datetime) -> LaneStops:
    """Sort the stops that concern a priority by what they are about."""
    whole: Stop | None = None
    keys: dict[StopScope, dict[str, Stop]] = {}
    growing = []
    for stop in stops:
        share = stop.share(now) if stop.concerns(priority) else 1.0
        if 0 < share < 1:
            # What was stopped of emergencies is late already: all of it goes at once.
            if priority is not Priority.P0:
                growing.append((stop, share))
        elif share == 0 and stop.scope in (StopScope.ALL, StopScope.PRIORITY):
            whole = stop
        elif share == 0:
            keys.setdefault(stop.scope, {})[stop.key or ""] = stop
    if whole is None and not keys and not growing:
        return NOTHING_STOPPED
    return LaneStops(whole=whole, keys=keys, growing=tuple(growing))
