"""What a run has to write down: decisions gathered, then settled together."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from app.db.engine import unavailable_when_down
from app.domain.decisions import Decision, Event, put_back
from app.domain.lanes import Lane
from app.domain.vocabulary import Channel, SuppressionReason
from app.errors import Unavailable
from app.queue.claims import Claim
from app.queue.rows import Claimed
from app.queue.settling import Settlement, settle
from app.services import metrics
from app.services.sending.tools import Tools
from app.services.sending.ways import standing_of
from app.services.suppressing import Blame, suppress

log = structlog.get_logger(__name__)

# A database that comes back soon still gets the results first hand.
PATIENCE = timedelta(seconds=10)
PAUSE = timedelta(milliseconds=500)


class Ending:
    """Decisions about one claim's messages on their way into PostgreSQL."""

    def __init__(self, tools: Tools, lane: Lane, claim: Claim, *, source: str = "worker") -> None:
        self._source = source
        self._tools = tools
        self._lane = lane
        self._claim = claim
        self._settlements: list[Settlement] = []
        self._messages: dict[int, Claimed] = {}
        self._remarks: dict[int, Event] = {}
        self._since = 0.0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Tell how many decisions wait to be settled."""
        return len(self._settlements)

    @property
    def oldest(self) -> float:
        """Tell for how many seconds the oldest has waited."""
        return time.monotonic() - self._since if self._settlements else 0.0

    def remark(self, events: Mapping[int, Event]) -> None:
        """Keep an event for each message, to be logged in front of its decision's own."""
        self._remarks.update(events)

    def add(self, message: Claimed, decision: Decision) -> None:
        """Gather a decision."""
        if not self._settlements:
            self._since = time.monotonic()
        remark = self._remarks.pop(message.id, None)
        if remark:
            decision = replace(decision, events=(remark, *decision.events))
        self._messages[message.id] = message
        self._settlements.append(Settlement(message.id, message.tries, decision))

    def decide(self, messages: Iterable[Claimed], decisions: Mapping[int, Decision]) -> None:
        """Gather the decisions about those messages that there are any about, by id."""
        for message in messages:
            if message.id in decisions:
                self.add(message, decisions[message.id])

    def put_back(
        self,
        messages: Sequence[Claimed],
        wait: timedelta,
        reason: str,
        *,
        why: str,
        by_us: bool = True,
    ) -> None:
        """Gather the decision that these wait, without a try used up; `why` is the metric's word for it.

        Time that they wait `by_us` does not count against them.
        """
        now = self._tools.now()
        metrics.count_put_back(self._lane.priority, why, len(messages))
        for message in messages:
            standing = standing_of(message, message.gateway or "", ())
            decision = put_back(standing, self._lane, wait, now, reason=reason, by_us=by_us)
            self.add(message, replace(decision, gateway=decision.gateway or None))

    @property
    def complete(self) -> bool:
        """Tell whether there is a decision for every message of the claim."""
        return len(self._messages) == len(self._claim.messages)

    def settle(self) -> None:
        """Write down what was gathered, and close the claim with its last message.

        On Unavailable it stays gathered for the next call.
        """
        if not self._settlements and (self._closed or not self.complete):
            return
        changed = self._write()
        self._closed = self.complete
        settled, self._settlements = self._settlements, []
        if self._tools.tokens is not None:
            self._tools.tokens.holdings.settled(settlement.message for settlement in settled)
        at_once = [s.message for s in settled if s.decision.at_once and s.message in changed]
        if at_once:
            self._tools.wake.failover(self._lane.priority, at_once)

    def finish(self) -> bool:
        """Write down everything and close the claim; False where that could not be done.

        A claim of which messages are missing stays open: stuck-release will look after them.
        """
        give_up_at = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                self.settle()
            except Unavailable as exc:
                log.warning("settling waits for the database", error=str(exc), waiting=self.waiting)
                if time.monotonic() > give_up_at or self._tools.stopping.wait(PAUSE.total_seconds()):
                    return False
            else:
                return self.complete

    def _write(self) -> set[int]:
        suppressing = [s for s in self._settlements if s.decision.suppress]
        engine = self._tools.engine if suppressing else self._tools.once
        with unavailable_when_down(), engine.begin() as conn:
            changed = settle(
                conn,
                self._lane,
                self._claim.uuid,
                self._settlements,
                worker=self._tools.worker,
                finished=self.complete,
                source=self._source,
            )
            suppress(conn, self._tools.policy, [self._blame(s) for s in suppressing if s.message in changed])
        return changed

    def _blame(self, settlement: Settlement) -> Blame:
        message, decision = self._messages[settlement.message], settlement.decision
        sender = self._tools.contents.sender(message) if decision.by_sender else None
        return Blame(
            message=message.id,
            channel=Channel(message.channel),
            address=message.recipient_address,
            reason=decision.suppress or SuppressionReason.MANUAL,
            source=decision.gateway or "worker",
            sender=sender.address if sender else None,
            as_of=decision.as_of,
        )
