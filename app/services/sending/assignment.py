"""Which gateway takes which message now: the chosen one, or the next in order that is well."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.decisions import Decision, Event, put_back
from app.domain.lanes import Lane
from app.domain.routing import Chain, lot
from app.domain.stops import NOTHING_STOPPED, StopScope
from app.domain.vocabulary import Channel, EventType, Priority
from app.errors import Unavailable
from app.limits.breaker import Admission, Change
from app.queue.rows import Claimed
from app.services.sending.tools import Tools
from app.services.sending.ways import accepted_at, chain_of, needs_for, standing_of
from app.services.sending.withholding import delayed, parked

NO_GATEWAY_WAIT = timedelta(seconds=60)
# Why messages wait for a gateway to be there again; they are called back by it.
NONE_HEALTHY = "no gateway is healthy"
NONE_IN_USE = "no gateway is in use for"
SHORTEST_WAIT = timedelta(seconds=1)


@dataclass(kw_only=True, slots=True)
class Assignment:
    """Messages by gateway, and decisions about those that no gateway takes now.

    `moved` tells for a message that goes elsewhere than meant, where it was to go. `probes` are by gateway,
    `sender_probes` by gateway and sender. `full` are gateways whose own limits are used up, `stuck` the
    messages that no gateway but these would take; `ill_until` tells for a stuck one when another, that is
    ill, lets probes through.
    """

    by_gateway: dict[str, list[Claimed]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[int, Decision] = field(default_factory=dict)
    probes: dict[str, int] = field(default_factory=dict)
    sender_probes: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: dict[int, Event] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    full: set[str] = field(default_factory=set)
    stuck: list[Claimed] = field(default_factory=list)
    ill_until: dict[int, datetime] = field(default_factory=dict)

    def absorb(self, later: "Assignment") -> None:
        """Take in where messages go after all that were to go elsewhere."""
        for gateway, members in later.by_gateway.items():
            self.by_gateway[gateway].extend(members)
        for gateway, probes in later.probes.items():
            self.probes[gateway] = self.probes.get(gateway, 0) + probes
        for place, probes in later.sender_probes.items():
            self.sender_probes[place] = self.sender_probes.get(place, 0) + probes
        self.refused.update(later.refused)
        self.moved.update(later.moved)
        self.changes.extend(later.changes)


def assign(
    tools: Tools,
    lane: Lane,
    messages: Sequence[Claimed],
    now: datetime,
    *,
    without: frozenset[str] = frozenset(),
    waiting: bool = True,
) -> Assignment:
    """Give each message to a gateway that fits and is well.

    Where none is well, emergency and transactional messages try their first choice anyway; the others
    wait until a breaker lets probes through. Raises Unavailable without Redis, but for emergencies,
    which then go without asking the breakers. `without` leaves out gateways that are full: a message for
    which no other healthy one is left is stuck, or has none left at all where it is not worth `waiting`.
    """
    return _Assigning(tools, lane, now, without, waiting=waiting).over(messages)


class _Assigning:
    def __init__(
        self, tools: Tools, lane: Lane, now: datetime, full: frozenset[str], *, waiting: bool
    ) -> None:
        self._tools = tools
        self._lane = lane
        self._now = now
        self._full = full
        self._waiting = waiting
        self._result = Assignment()
        self._retry_at: dict[str, datetime] = {}
        self._ways: dict[tuple[object, ...], Chain] = {}
        self._picky = tools.catalog.picky()
        self._stops = tools.stops.of_lane(lane.priority)
        self._growth = self._stops.growth((StopScope.GATEWAY,)).get(StopScope.GATEWAY, {})
        # Messages that go to another gateway than the one they were given to, by their own lot.
        self._settled: set[int] = set()
        # Those that do so because it is slow, or because the order was changed since.
        self._rerouted: set[int] = set()

    def over(self, messages: Sequence[Claimed]) -> Assignment:
        waiting = self._by_first_choice(messages)
        unplaced: list[tuple[Claimed, list[str]]] = []
        while waiting:
            gateway = max(waiting, key=lambda name: len(waiting[name]))
            for message, choices in self._place(gateway, waiting.pop(gateway)):
                if len(choices) > 1:
                    waiting.setdefault(choices[1], []).append((message, choices[1:]))
                else:
                    unplaced.append((message, choices))
        self._settle_for_less(unplaced)
        return self._result

    def _by_first_choice(self, messages: Sequence[Claimed]) -> dict[str, list[tuple[Claimed, list[str]]]]:
        waiting: dict[str, list[tuple[Claimed, list[str]]]] = {}
        for message in messages:
            choices = self._choices(message)
            if self._stops is not NOTHING_STOPPED:
                choices = self._without_stopped(message, choices)
            if message.id in self._result.refused:
                continue
            if self._full:
                choices = [name for name in choices if name not in self._full]
            if choices:
                waiting.setdefault(choices[0], []).append((message, choices))
            elif self._full:
                self._result.stuck.append(message)
            else:
                self._refuse(message, "", NO_GATEWAY_WAIT, f"{NONE_IN_USE} {message.channel}")
        return waiting

    def _choices(self, message: Claimed) -> list[str]:
        """Order the ways for a message: where it is meant to go, then what it has not tried this round."""
        if message.gateway_pinned and message.gateway:
            return _choices(message, chain_of(self._tools, message), message.gateway)
        ways, meant = self._ways_of(message), message.gateway
        if ways.is_fixed and (message.tried or ways.names[:1] == (meant,) or not ways.was_reordered):
            return _choices(message, ways.names, meant)
        draw = lot(message.uuid)
        chain = ways.order(draw)
        if meant in chain and not message.tried and not ways.keeps(meant, accepted_at(message.uuid), draw):
            if self._is_own(ways, meant, chain[0]):
                self._settled.add(message.id)
            self._rerouted.add(message.id)
            meant = None
        return _choices(message, chain, meant)

    def _ways_of(self, message: Claimed) -> Chain:
        """Find the gateways that fit; messages that are alike in all that matters have the same."""
        if message.options or message.channel == Channel.PUSH or message.channel in self._picky:
            return self._tools.catalog.ways(needs_for(self._tools, message))
        kind = (message.channel, message.message_type, message.ip_pool, message.batch_id)
        ways = self._ways.get(kind)
        if ways is None:
            ways = self._ways[kind] = self._tools.catalog.ways(needs_for(self._tools, message))
        return ways

    def _without_stopped(self, message: Claimed, choices: list[str]) -> list[str]:
        """Leave out gateways that are stopped; where no other is left, the message waits for its first."""
        stopped = self._stops.keys.get(StopScope.GATEWAY, {})
        left = [
            name
            for name in choices
            if name not in stopped and self._tools.chance() < self._growth.get(name, 1.0)
        ]
        if choices and not left:
            stop = stopped.get(choices[0])
            self._result.refused[message.id] = (
                parked(self._tools, self._lane, message, stop, self._now)
                if stop
                else delayed(self._tools, self._lane, self._stops, message, self._now)
            )
        return left

    @staticmethod
    def _is_own(ways: Chain, meant: str, first: str) -> bool:
        """Tell whether it is by weight alone that a message goes to another gateway of the same tier."""
        tiers = {route.gateway: route.tier for route in ways.routes if route.share >= 1}
        return meant in tiers and tiers.get(first) == tiers[meant]

    def _place(
        self, gateway: str, wanting: list[tuple[Claimed, list[str]]]
    ) -> list[tuple[Claimed, list[str]]]:
        """Give the gateway as many messages as it may have; return the others."""
        welcome, refused = self._by_sender(gateway, wanting)
        if not welcome:
            return refused
        admission = self._admit(Channel(welcome[0][0].channel), gateway, len(welcome), urgent=False)
        admitted = len(welcome) if admission is None else admission.admitted
        if admission and admission.admitted < len(welcome):
            self._retry_at[gateway] = admission.retry_at
        for message, _ in welcome[:admitted]:
            self._give(message, gateway)
        return welcome[admitted:] + refused

    def _by_sender(
        self, gateway: str, wanting: list[tuple[Claimed, list[str]]]
    ) -> tuple[list[tuple[Claimed, list[str]]], list[tuple[Claimed, list[str]]]]:
        """Part those whose sender this gateway takes from those whose sender it refuses for now."""
        ill = {sender for _, name, sender in self._tools.catalog.ill_senders() if name == gateway}
        if not ill:
            return wanting, []
        welcome: list[tuple[Claimed, list[str]]] = []
        suspects: dict[str, list[tuple[Claimed, list[str]]]] = defaultdict(list)
        for item in wanting:
            sender = self._tools.contents.sender(item[0])
            (suspects[sender.address] if sender and sender.address in ill else welcome).append(item)
        refused = []
        for address, items in suspects.items():
            admitted = self._admit_sender(Channel(items[0][0].channel), gateway, address, len(items))
            welcome += items[:admitted]
            refused += items[admitted:]
        return welcome, refused

    def _admit_sender(self, channel: Channel, gateway: str, sender: str, wanted: int) -> int:
        """Ask the breaker of one sender at a gateway how many tries may go."""
        try:
            admission = self._tools.breakers.admit(channel, gateway, wanted, scope=sender)
        except Unavailable:
            if self._lane.priority is Priority.P0:
                return wanted
            raise
        if admission.probes:
            place = (gateway, sender)
            self._result.sender_probes[place] = self._result.sender_probes.get(place, 0) + admission.probes
        if admission.admitted < wanted:
            self._retry_at.setdefault(gateway, admission.retry_at)
        if admission.change:
            self._result.changes.append(admission.change)
        return admission.admitted

    def _give(self, message: Claimed, gateway: str) -> None:
        self._result.by_gateway[gateway].append(message)
        if message.gateway and gateway != message.gateway and message.id not in self._settled:
            rerouted = message.id in self._rerouted
            reason = "another one comes first now" if rerouted else "it takes nothing now"
            reason = "its own limit or pace is used up" if message.gateway in self._full else reason
            self._result.moved[message.id] = Event(
                event_type=EventType.FAILED_OVER,
                gateway=gateway,
                data={"from": message.gateway, "reason": reason},
            )

    def _settle_for_less(self, unplaced: list[tuple[Claimed, list[str]]]) -> None:
        """Nothing healthy is left for these."""
        if self._full and self._waiting:
            self._result.stuck += [message for message, _ in unplaced]
            self._result.ill_until |= {
                message.id: self._retry_at[choices[0]] for message, choices in unplaced
            }
            return
        for message, choices in unplaced:
            first = message.gateway if message.gateway in self._retry_at else choices[0]
            if self._lane.always_tries:
                self._admit(Channel(message.channel), first, 1, urgent=True)
                self._give(message, first)
            else:
                wait = max(self._retry_at[choices[0]] - self._now, SHORTEST_WAIT)
                self._refuse(message, choices[0], wait, NONE_HEALTHY)

    def _refuse(self, message: Claimed, gateway: str, wait: timedelta, reason: str) -> None:
        # By chance up to a quarter longer, so that a lane full of waiting messages does not return at once.
        spread = wait * (1 + self._tools.chance() / 4)
        standing = standing_of(message, gateway or message.gateway or "", ())
        self._result.refused[message.id] = put_back(
            standing, self._lane, spread, self._now, reason=reason, by_us=False
        )

    def _admit(self, channel: Channel, gateway: str, wanted: int, *, urgent: bool) -> Admission | None:
        try:
            admission = self._tools.breakers.admit(channel, gateway, wanted, urgent=urgent)
        except Unavailable:
            if self._lane.priority is Priority.P0:
                return None
            raise
        if admission.probes:
            self._result.probes[gateway] = self._result.probes.get(gateway, 0) + admission.probes
        if admission.change:
            self._result.changes.append(admission.change)
        return admission


def _choices(message: Claimed, chain: Sequence[str], meant: str | None) -> list[str]:
    """Put the gateway that a message is meant for first, then those that it has not tried this round."""
    first = [meant] if meant and meant in chain else []
    untried = [name for name in chain if name != meant and name not in message.tried]
    # Where the one it was to go to is gone and all others had their turn, a new round begins.
    return first + untried or list(chain)
