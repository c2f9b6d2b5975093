"""What one claim's answers tell the breakers, and which gateways are ill by that."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

from app.domain.outcomes import GATEWAYS_FAULT, Outcome
from app.domain.vocabulary import BreakerState, OutcomeClass
from app.errors import Unavailable
from app.limits.breaker import Change
from app.services.health import note_change
from app.services.sending.tools import Tools

# A breaker counts over seconds, so good news may wait for more; faults and probes are told at once.
GOOD_NEWS_WITHIN = 0.25  # seconds


class Reports:
    """Tells the breakers; for one claim, used by one thread. Without Redis nothing is told."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._probes: Counter[str] = Counter()
        self._good: Counter[str] = Counter()
        self._since = time.monotonic()

    def admitted(self, probes: Mapping[str, int], changes: Sequence[Change]) -> None:
        """Take note of probes that the breakers let through, to be told back sent or not."""
        self._probes.update(probes)
        self._note(changes)

    def add(self, gateway: str, requests: Sequence[Sequence[OutcomeClass]]) -> bool:
        """Count what became of requests, each with its messages; tells whether the gateway is ill."""
        faults = sum(_failed(kinds) for kinds in requests)
        probes = min(self._probes[gateway], sum(map(len, requests)))
        self._good[gateway] += len(requests) - faults
        if faults or probes or time.monotonic() - self._since > GOOD_NEWS_WITHIN:
            self._tell(gateway, faults=faults, probes=probes)
        return bool(faults) and self._is_ill(gateway)

    def trip(self, gateway: str, outcome: Outcome) -> None:
        """Open the breaker at once: nothing can go through this account."""
        channel = self._tools.gateways[gateway].channel
        with suppress(Unavailable):
            change = self._tools.breakers.trip(channel, gateway, f"{outcome.code}: {outcome.detail}")
            self._note([change] if change else [])

    def finish(self) -> None:
        """Tell the rest, and of probes that were admitted and never sent, so that others may try."""
        for gateway in self._good.keys() | self._probes.keys():
            if self._good[gateway] or self._probes[gateway]:
                self._tell(gateway, faults=0, probes=self._probes[gateway])

    def _tell(self, gateway: str, *, faults: int, probes: int) -> None:
        channel = self._tools.gateways[gateway].channel
        good = self._good.pop(gateway, 0)
        self._probes[gateway] -= probes
        self._since = time.monotonic()
        with suppress(Unavailable):
            change = self._tools.breakers.record(channel, gateway, good=good, faults=faults, probes=probes)
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


def _failed(kinds: Sequence[OutcomeClass]) -> bool:
    """Tell whether a request failed by the gateway's fault: most of what it carried did.

    A connection that dies under a thousand messages is one fault, not a thousand in a row.
    """
    return 2 * sum(kind in GATEWAYS_FAULT for kind in kinds) > len(kinds)
