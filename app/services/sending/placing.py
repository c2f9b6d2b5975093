"""Where each message goes now: to a gateway that is well, under all limits, past gateways that are full."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.queue.rows import Claimed
from app.services.sending.allowance import Allowance, Wait, allow
from app.services.sending.assignment import SHORTEST_WAIT, Assignment, assign
from app.services.sending.tools import Tools

# Rather than wait longer for tokens, an emergency goes to a gateway that is ill.
PATIENCE = timedelta(seconds=5)
# Until then somebody may have reset a limit, or given tokens back.
LOOK_AGAIN = timedelta(seconds=30)


def place(
    tools: Tools, lane: Lane, messages: Sequence[Claimed], now: datetime
) -> tuple[Assignment, Allowance]:
    """Give each message a gateway and tokens, a time to come back, or a decision against it.

    Where a gateway's own limit is used up, urgent lanes go on to the next gateway; the others wait. Raises
    Unavailable without Redis, but for emergencies.
    """
    placing = _Placing(tools, lane, messages, now)
    while placing.allowance.spilled:
        placing.spill()
    return placing.assignment, placing.allowance


class _Placing:
    def __init__(self, tools: Tools, lane: Lane, messages: Sequence[Claimed], now: datetime) -> None:
        self._tools = tools
        self._lane = lane
        self._now = now
        # Which gateway was full for a message first: there it waits if no other takes it.
        self._first: dict[int, str] = {}
        self.assignment = assign(tools, lane, messages, now)
        self.allowance = allow(tools, lane, self.assignment.by_gateway, spill=lane.urgent)

    def spill(self) -> None:
        """Move what a gateway has no tokens for to the next."""
        spilled, self.allowance.spilled = self.allowance.spilled, {}
        for gateway, members in spilled.items():
            self._take_from(gateway, members)
        full = frozenset(self.assignment.full)
        everybody = [message for members in spilled.values() for message in members]
        following = assign(self._tools, self._lane, everybody, self._now, without=full)
        self.assignment.absorb(following)
        self.assignment.ill_until |= following.ill_until
        _absorb(self.allowance, allow(self._tools, self._lane, following.by_gateway, spill=True))
        self._wait(following.stuck)

    def _take_from(self, gateway: str, members: Sequence[Claimed]) -> None:
        self.assignment.full.add(gateway)
        gone = {message.id for message in members}
        by_gateway = self.assignment.by_gateway
        by_gateway[gateway] = [message for message in by_gateway[gateway] if message.id not in gone]
        for message in members:
            self._first.setdefault(message.id, gateway)

    def _wait(self, stuck: Sequence[Claimed]) -> None:
        waiting: dict[str, list[Claimed]] = {}
        for message in stuck:
            waiting.setdefault(self._first[message.id], []).append(message)
            self.assignment.moved.pop(message.id, None)
        for gateway, members in waiting.items():
            self.assignment.by_gateway[gateway].extend(members)
        allowance = allow(self._tools, self._lane, waiting)
        _absorb(self.allowance, allowance)
        if allowance.waits:
            self._shorten([message for message in stuck if message.id in allowance.waits])

    def _shorten(self, waiting: Sequence[Claimed]) -> None:
        """Let nobody wait for tokens of a full gateway for longer than is good for it."""
        waits, ill_until = self.allowance.waits, self.assignment.ill_until
        waiting = [message for message in waiting if self._is_too_long(message, waits[message.id].length)]
        if self._lane.always_tries:
            self._try_anyway([message for message in waiting if message.id in ill_until])
        for message in waiting:
            if message.id not in waits:
                continue
            wait, why = waits[message.id]
            if message.id in ill_until:
                wait = min(wait, ill_until[message.id] - self._now)
            elif self._lane.always_tries:
                wait = min(wait, LOOK_AGAIN, message.expires_at - self._now - SHORTEST_WAIT)
            waits[message.id] = Wait(max(wait, SHORTEST_WAIT), why)

    def _is_too_long(self, message: Claimed, wait: timedelta) -> bool:
        is_late = self._now + wait >= message.expires_at
        return is_late or (self._lane.priority is Priority.P0 and wait > PATIENCE)

    def _try_anyway(self, messages: Sequence[Claimed]) -> None:
        for message in messages:
            del self.allowance.waits[message.id]
            self._take_from(self._first[message.id], [message])
        full = frozenset(self.assignment.full)
        following = assign(self._tools, self._lane, messages, self._now, without=full, waiting=False)
        self.assignment.absorb(following)
        _absorb(self.allowance, allow(self._tools, self._lane, following.by_gateway))
        for message in following.stuck:
            # Another process has changed which gateways there are, this very moment.
            self.assignment.by_gateway[self._first[message.id]].append(message)
            self.allowance.waits[message.id] = Wait(SHORTEST_WAIT, "its gateways have just been changed")


def _absorb(allowance: Allowance, later: Allowance) -> None:
    allowance.waits.update(later.waits)
    for gateway, members in later.spilled.items():
        allowance.spilled.setdefault(gateway, []).extend(members)
