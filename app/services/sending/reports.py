"""What one claim's answers tell the breakers, and which gateways are ill by that."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from app.domain.outcomes import GATEWAYS_FAULT, Outcome
from app.domain.vitals import Vitals
from app.domain.vocabulary import BreakerState, Channel, ConfigScope, OutcomeClass
from app.errors import Unavailable
from app.limits.breaker import Change
from app.queue.rows import Claimed
from app.services.health import note_change
from app.services.name_counts import Tally, names_of
from app.services.sending.tools import Tools
from app.services.vital_signs import refresh

# A breaker counts over seconds, so good news may wait for more; faults and probes are told at once.
GOOD_NEWS_WITHIN = 0.25  # seconds

# What a mail's reputation is counted by at once: that it was taken, or refused for ever.
_COUNTED = frozenset({OutcomeClass.ACCEPTED, OutcomeClass.RECIPIENT})


class Reports:
    """Tells the breakers; for one claim, used by one thread. Without Redis nothing is told."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._probes: Counter[str] = Counter()
        self._good: Counter[str] = Counter()
        self._vitals: dict[str, Vitals] = defaultdict(Vitals)
        self._sender_probes: Counter[tuple[str, str]] = Counter()
        self._refused: set[tuple[str, str]] = set()
        self._mails: Counter[tuple[object, ...]] = Counter()
        self._example: dict[tuple[object, ...], Claimed] = {}
        self._since = time.monotonic()

    def admitted(
        self,
        probes: Mapping[str, int],
        changes: Sequence[Change],
        sender_probes: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Take note of probes that the breakers let through, to be told back sent or not."""
        self._probes.update(probes)
        self._sender_probes.update(sender_probes or {})
        self._note(changes)

    def timed(self, gateway: str, took: timedelta) -> None:
        """Count how long a gateway took to answer one request."""
        self._vitals[gateway].time(took)

    def add(self, gateway: str, requests: Sequence[Sequence[OutcomeClass]]) -> bool:
        """Count what became of requests, each with its messages; tells whether the gateway is ill."""
        vitals = self._vitals[gateway]
        faults = sum(_failed(vitals, kinds) for kinds in requests)
        probes = min(self._probes[gateway], sum(map(len, requests)))
        self._good[gateway] += len(requests) - faults
        if faults or probes or time.monotonic() - self._since > GOOD_NEWS_WITHIN:
            self._tell(gateway, faults=faults, probes=probes)
        return bool(faults) and self._is_ill(gateway)

    def trip(self, gateway: str, outcome: Outcome) -> None:
        """Open the breaker at once: nothing can go through this account."""
        channel = self._tools.gateways[gateway].channel
        self._vitals[gateway].failed += 1
        with suppress(Unavailable):
            change = self._tools.breakers.trip(channel, gateway, f"{outcome.code}: {outcome.detail}")
            self._note([change] if change else [])

    def hear_of_sender(self, gateway: str, message: Claimed, outcome: Outcome) -> bool:
        """Tell a sender's own breaker what came of a message; tells whether it has just been refused.

        A gateway that does not know one sender of ours is well for all others. What went out under which
        name, and what was refused for ever, is counted by the way.
        """
        if message.channel == Channel.EMAIL and outcome.kind in _COUNTED:
            self._count_mail(message, outcome.kind)
        refused = outcome.kind is OutcomeClass.CONFIG and outcome.scope is ConfigScope.SENDER
        if not refused and not self._sender_probes:
            return False
        sender = self._tools.contents.sender(message)
        if sender is None:
            return False
        if refused:
            return self._refuse(gateway, sender.address, outcome)
        if self._sender_probes[gateway, sender.address] > 0:
            self._tell_sender(
                gateway, sender.address, good=int(outcome.kind is OutcomeClass.ACCEPTED), probes=1
            )
        return False

    def finish(self) -> None:
        """Tell the rest, and of probes that were admitted and never sent, so that others may try."""
        for gateway in self._good.keys() | self._probes.keys() | self._vitals.keys():
            if self._good[gateway] or self._probes[gateway] or gateway in self._vitals:
                self._tell(gateway, faults=0, probes=self._probes[gateway])
        for (gateway, sender), probes in self._sender_probes.items():
            if probes > 0:
                self._tell_sender(gateway, sender, good=0, probes=probes)

        if self._mails and self._tools.names:
            self._tools.names.add(self._tally(), at_once=self._tools.stopping.is_set())

    def _count_mail(self, message: Claimed, kind: OutcomeClass) -> None:
        """Count a mail by what all of its kind share; under which names they go is found out once for all."""
        sender = message.options.get("sender") if message.options else None
        key = (kind, message.ip_pool, message.message_type, message.batch_id, sender)
        self._mails[key] += 1
        if self._mails[key] == 1:
            self._example[key] = message

    def _tally(self) -> Tally:
        tally = Tally.empty()
        for key, count in self._mails.items():
            sender = self._tools.contents.sender(self._example[key])
            for name in names_of(self._example[key], sender.address if sender else None):
                tally.sent[name] += count
                if key[0] is OutcomeClass.RECIPIENT:
                    tally.bounced[name] += count
        self._mails.clear()
        return tally

    def _refuse(self, gateway: str, sender: str, outcome: Outcome) -> bool:
        """Open the breaker of one sender at a gateway: its messages go elsewhere until probes get through."""
        if (gateway, sender) in self._refused:
            return False
        self._refused.add((gateway, sender))
        channel = self._tools.gateways[gateway].channel
        self._sender_probes.pop((gateway, sender), None)
        with suppress(Unavailable):
            reason = f"{outcome.code}: {outcome.detail}"
            change = self._tools.breakers.trip(channel, gateway, reason, scope=sender)
            self._note([change] if change else [])
            return change is not None
        return False

    def _tell_sender(self, gateway: str, sender: str, *, good: int, probes: int) -> None:
        channel = self._tools.gateways[gateway].channel
        self._sender_probes[gateway, sender] -= probes
        with suppress(Unavailable):
            change = self._tools.breakers.record(
                channel, gateway, good=good, faults=0, probes=probes, scope=sender
            )
            self._note([change] if change else [])

    def _tell(self, gateway: str, *, faults: int, probes: int) -> None:
        channel = self._tools.gateways[gateway].channel
        good = self._good.pop(gateway, 0)
        self._probes[gateway] -= probes
        self._since = time.monotonic()
        with suppress(Unavailable):
            change = self._tools.breakers.record(
                channel,
                gateway,
                good=good,
                faults=faults,
                probes=probes,
                vitals=self._vitals.pop(gateway, None),
            )
            self._note([change] if change else [])

    def _is_ill(self, gateway: str) -> bool:
        pair = (self._tools.gateways[gateway].channel, gateway)
        try:
            return self._tools.breakers.states([pair])[pair].state is not BreakerState.CLOSED
        except Unavailable:
            return False

    def _note(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # All workers know it through Redis; what is on the wire must not suffer from a lost note.
            with suppress(Unavailable):
                note_change(self._tools.engine, change)
                if change.scope:
                    # Which senders are refused where is read with routes and limits, a moment old otherwise.
                    self._tools.catalog.forget()
                else:
                    refresh(self._tools.engine, self._tools.breakers, change.channel, change.gateway)


def _failed(vitals: Vitals, kinds: Sequence[OutcomeClass]) -> bool:
    """Count a request's messages; tell whether it failed by the gateway's fault: most of what it carried did.

    A connection that dies under a thousand messages is one fault, not a thousand in a row.
    """
    faults = sum(kind in GATEWAYS_FAULT for kind in kinds)
    vitals.failed += faults
    vitals.accepted += sum(kind is OutcomeClass.ACCEPTED for kind in kinds)
    return 2 * faults > len(kinds)
