"""One claim on its way out: check, admit, limit, render, send, settle."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from app.db.engine import unavailable_when_down
from app.domain.decisions import Decision, decide, put_back
from app.domain.lanes import Lane
from app.domain.outcomes import GATEWAYS_FAULT, Outcome
from app.domain.vocabulary import ConfigScope, OutcomeClass
from app.errors import ClaimClosed, Invalid, Unavailable
from app.gateways.base import Envelope, HttpFailure, HttpRequest, HttpResponse, outcome_of_failure
from app.gateways.transport import Transport
from app.limits.breaker import Change
from app.queue.claims import Claim
from app.queue.rows import Claimed
from app.services import metrics
from app.services.health import note_change
from app.services.sending import answers, checks
from app.services.sending.allowance import Allowance, allow, give_back
from app.services.sending.assignment import assign, chain_of, standing_of
from app.services.sending.book import Book
from app.services.sending.ending import Ending
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# No request starts longer than this after its recipient was last looked up among the suppressed.
CHECK_HOLDS = 5.0  # seconds
# Results are settled together, but none waits longer than this for others.
SETTLE_SIZE = 500
SETTLE_WITHIN = 1.0  # seconds
OUTAGE_WAIT = timedelta(seconds=2)
# Nothing is started after this, so that the slowest gateway does not make an actor exceed its time.
LONGEST_RUN = 300.0  # seconds

Work = tuple[str, Sequence[Claimed], Sequence[Envelope]]  # gateway, messages of one request, as rendered
Reply = HttpResponse | HttpFailure
T = TypeVar("T")


class ClaimRun:
    """Sends one claim's messages. Used once, by one thread."""

    def __init__(self, tools: Tools, transport: Transport, lane: Lane, claim: Claim, book: Book) -> None:
        self._tools = tools
        self._transport = transport
        self._lane = lane
        self._book = book
        self._all = claim.messages
        self._queue: deque[tuple[str, Claimed]] = deque()
        self._answers: dict[int, str] = {}
        self._probes: Counter[str] = Counter()
        self._allowance = Allowance()
        self._ending = Ending(tools, lane, claim)
        self._checked_at = 0.0
        self._began = time.monotonic()
        self._leased_until = time.monotonic() + lane.lease.total_seconds()

    def run(self) -> None:
        """Send everything that may go; whatever happens, settle what is known."""
        try:
            self._guarded(lambda: self._sort_out(self._all))
            for finished in self._transport.exchange(self._pull):
                self._absorb(finished)
        finally:
            self._finish()

    def _guarded(self, step: Callable[[], T]) -> T | None:
        """Do a step that may find Redis, PostgreSQL or the claim gone; nothing more starts then.

        It does not raise, since what is on the wire must still be heard out.
        """
        try:
            return step()
        except ClaimClosed:
            # Another process has released the claim; what it did not know is still ours to tell.
            self._queue.clear()
            log.warning("claim lost", claim=str(self._book.claim), lane=self._lane.priority.value)
        except Unavailable as exc:
            self._put_back_queue(OUTAGE_WAIT, str(exc), why="outage", by_us=False)
        return None

    # Before the wire

    def _sort_out(self, messages: Sequence[Claimed]) -> None:
        """Queue what may go now, decide about the rest."""
        now, asked_at = self._tools.now(), time.monotonic()
        self._queue.extend((message.gateway or "", message) for message in messages)
        with unavailable_when_down(), self._tools.once.connect() as conn:
            refused = checks.refused(conn, self._lane, messages, self._tools.contents, now)
        self._checked_at = asked_at
        self._queue.clear()
        self._decide(messages, refused)
        self._assign([message for message in messages if message.id not in refused])

    def _assign(self, messages: Sequence[Claimed]) -> None:
        try:
            assignment = assign(self._tools, self._lane, messages, self._tools.now())
            allowance = allow(self._tools, self._lane.priority, assignment.by_gateway)
        except Unavailable as exc:
            self._put_back(messages, OUTAGE_WAIT, str(exc), why="outage", by_us=False)
            return
        self._note(assignment.changes)
        self._probes.update(assignment.probes)
        self._ending.remark(assignment.moved)
        self._allowance.add(allowance)
        self._decide(messages, assignment.refused)
        for gateway, members in assignment.by_gateway.items():
            for message in members:
                if message.id in allowance.waits:
                    self._put_back(
                        [message], allowance.waits[message.id], "rate limit", why="limit", gateway=gateway
                    )
                else:
                    self._queue.append((gateway, message))

    def _pull(self, free: int) -> list[tuple[Work, HttpRequest]]:
        """Give the transport up to `free` requests, marked as started in the ledger."""
        return self._guarded(lambda: self._next(free)) or []

    def _next(self, free: int) -> list[tuple[Work, HttpRequest]]:
        if not self._queue or not self._may_start():
            self._start([])
            return []
        built = self._build(self._render(free))
        started = set(self._start(built))
        self._observe_waits(built)
        return [
            (work, request) for work, request in built if all(message.id in started for message in work[1])
        ]

    def _may_start(self) -> bool:
        if self._tools.stopping.is_set():
            self._put_back_queue(timedelta(0), "the worker was stopped", why="stopping")
            return False
        if time.monotonic() - self._began > LONGEST_RUN:
            self._put_back_queue(timedelta(0), "the claim took too long", why="slow")
            return False
        if time.monotonic() - self._checked_at > CHECK_HOLDS:
            remaining = [message for _, message in self._queue]
            self._queue.clear()
            give_back(self._tools, self._allowance, remaining)
            self._sort_out(remaining)
        if self._leased_until - time.monotonic() < self._tools.gateway_timeout.total_seconds():
            self._renew()
        return bool(self._queue)

    def _renew(self) -> None:
        asked_at = time.monotonic()
        if not self._book.renew():
            raise ClaimClosed("The lease is over")
        self._leased_until = asked_at + self._lane.lease.total_seconds()

    def _render(self, free: int) -> list[Work]:
        """Take up to `free` requests' worth of messages off the queue and render them."""
        rendered: list[Work] = []
        while self._queue and len(rendered) < free:
            gateway = self._queue[0][0]
            messages, envelopes = self._fill(gateway, self._tools.gateways[gateway].batch)
            if messages:
                rendered.append((gateway, messages, envelopes))
        return rendered

    def _fill(self, gateway: str, size: int) -> tuple[list[Claimed], list[Envelope]]:
        messages: list[Claimed] = []
        envelopes: list[Envelope] = []
        while self._queue and self._queue[0][0] == gateway and len(messages) < size:
            message = self._queue.popleft()[1]
            envelope = self._tools.contents.envelope(message)
            if isinstance(envelope, Outcome):
                self._conclude(gateway, message, envelope)
            else:
                messages.append(message)
                envelopes.append(envelope)
        return messages, envelopes

    def _build(self, rendered: Sequence[Work]) -> list[tuple[Work, HttpRequest]]:
        """Make the requests; what a gateway would have to drop from a message goes elsewhere."""
        now = self._tools.now()
        built: list[tuple[Work, HttpRequest]] = []
        for number, work in enumerate(rendered):
            try:
                built += self._built(work, now)
            except Unavailable:
                self._requeue([*(work for work, _ in built), *rendered[number:]])
                raise
        return built

    def _built(self, work: Work, now: datetime) -> list[tuple[Work, HttpRequest]]:
        gateway, messages, envelopes = work
        vendor = self._tools.gateways[gateway]
        try:
            return [(work, vendor.build(envelopes, now))]
        except Invalid:
            fitting = []
            for message, envelope in zip(messages, envelopes, strict=True):
                if missing := vendor.cannot_express(envelope):
                    self._conclude(gateway, message, _inexpressible(missing))
                else:
                    fitting.append((message, envelope))
        if not fitting:
            return []
        work = (gateway, [message for message, _ in fitting], [envelope for _, envelope in fitting])
        return [(work, vendor.build(work[2], now))]

    def _start(self, built: Sequence[tuple[Work, HttpRequest]]) -> list[int]:
        """Mark the messages as started; where that fails they are back in the queue."""
        written, self._answers = self._answers, {}
        try:
            return self._book.advance(written, [m.id for (_, messages, _), _ in built for m in messages])
        except (ClaimClosed, Unavailable):
            self._answers = written
            self._requeue([work for work, _ in built])
            raise

    def _observe_waits(self, built: Sequence[tuple[Work, HttpRequest]]) -> None:
        now = self._tools.now()
        for (_, messages, _), _ in built:
            for message in messages:
                metrics.observe_wait(self._lane.priority, now - message.scheduled_for)

    def _requeue(self, works: Sequence[Work]) -> None:
        self._queue.extendleft((gateway, message) for gateway, messages, _ in works for message in messages)

    # After the wire

    def _absorb(self, finished: Sequence[tuple[Work, Reply]]) -> None:
        """Read replies, tell the breakers, settle when enough has come together."""
        kinds: dict[str, Counter[OutcomeClass]] = defaultdict(Counter)
        for (gateway, messages, envelopes), reply in finished:
            metrics.observe_gateway(gateway, reply.elapsed)
            for message, outcome in zip(messages, self._outcomes(gateway, envelopes, reply), strict=True):
                self._answers[message.id] = answers.spell(gateway, outcome)
                kinds[gateway][outcome.kind] += 1
                self._conclude(gateway, message, outcome)
        for gateway, counted in kinds.items():
            metrics.count_outcomes(self._lane.priority, gateway, counted)
            self._tell_breaker(gateway, counted)
        if self._lane.urgent or self._ending.waiting >= SETTLE_SIZE or self._ending.oldest > SETTLE_WITHIN:
            self._guarded(self._settle)

    def _settle(self) -> None:
        asked_at = time.monotonic()
        self._ending.settle()
        # What is settled is of no more use to whoever reads the ledger.
        self._answers.clear()
        self._leased_until = asked_at + self._lane.lease.total_seconds()

    def _outcomes(self, gateway: str, envelopes: Sequence[Envelope], reply: Reply) -> list[Outcome]:
        if isinstance(reply, HttpFailure):
            return [outcome_of_failure(reply)] * len(envelopes)
        return self._tools.gateways[gateway].read(envelopes, reply)

    def _tell_breaker(self, gateway: str, kinds: Counter[OutcomeClass]) -> None:
        faults = sum(count for kind, count in kinds.items() if kind in GATEWAYS_FAULT)
        probes = min(self._probes[gateway], kinds.total())
        self._record(gateway, good=kinds.total() - faults, faults=faults, probes=probes)
        if faults:
            self._reconsider(gateway)

    def _return_probes(self) -> None:
        """Tell of probes that were admitted and never sent, so that others may try."""
        for gateway, probes in self._probes.items():
            if probes:
                self._record(gateway, good=0, faults=0, probes=probes)

    def _record(self, gateway: str, *, good: int, faults: int, probes: int) -> None:
        channel = self._tools.gateways[gateway].channel
        self._probes[gateway] -= probes
        try:
            change = self._tools.breakers.record(channel, gateway, good=good, faults=faults, probes=probes)
        except Unavailable:
            return
        self._note([change] if change else [])

    def _reconsider(self, gateway: str) -> None:
        """Ask again where the rest shall go: this gateway may just have been found ill."""
        rest = [message for name, message in self._queue if name == gateway]
        if rest:
            self._queue = deque(item for item in self._queue if item[0] != gateway)
            give_back(self._tools, self._allowance, rest)
            self._assign(rest)

    # Endings

    def _conclude(self, gateway: str, message: Claimed, outcome: Outcome) -> None:
        if outcome.kind is OutcomeClass.CONFIG and outcome.scope is ConfigScope.ACCOUNT:
            self._trip(gateway, outcome)
        chain = () if outcome.kind is OutcomeClass.ACCEPTED else chain_of(self._tools, message)
        standing = standing_of(message, gateway, chain)
        decision = decide(outcome, standing, self._lane, self._tools.now(), self._tools.chance())
        self._ending.add(message, decision)

    def _trip(self, gateway: str, outcome: Outcome) -> None:
        channel = self._tools.gateways[gateway].channel
        try:
            change = self._tools.breakers.trip(channel, gateway, f"{outcome.code}: {outcome.detail}")
        except Unavailable:
            return
        self._note([change] if change else [])
        self._reconsider(gateway)

    def _decide(self, messages: Sequence[Claimed], decisions: dict[int, Decision]) -> None:
        for message in messages:
            if message.id in decisions:
                self._ending.add(message, decisions[message.id])

    def _put_back(
        self,
        messages: Sequence[Claimed],
        wait: timedelta,
        reason: str,
        *,
        why: str,
        gateway: str | None = None,
        by_us: bool = True,
    ) -> None:
        now = self._tools.now()
        metrics.count_put_back(self._lane.priority, why, len(messages))
        for message in messages:
            standing = standing_of(message, gateway or message.gateway or "", ())
            decision = put_back(standing, self._lane, wait, now, reason=reason, by_us=by_us)
            self._ending.add(message, replace(decision, gateway=decision.gateway or None))

    def _put_back_queue(self, wait: timedelta, reason: str, *, why: str, by_us: bool = True) -> None:
        messages = [message for _, message in self._queue]
        self._queue.clear()
        give_back(self._tools, self._allowance, messages)
        self._put_back(messages, wait, reason, why=why, by_us=by_us)

    def _note(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # All workers know it through Redis; what is on the wire must not suffer from a lost note.
            with suppress(Unavailable):
                note_change(self._tools.engine, change)

    def _finish(self) -> None:
        """Settle what is left; what cannot be settled now is left to the ledger and stuck-release."""
        self._return_probes()
        if self._ending.finish():
            self._book.forget()
        elif self._answers:
            self._guarded(lambda: self._book.advance(self._answers, []))


def _inexpressible(missing: str) -> Outcome:
    """Another gateway may be able to say it."""
    return Outcome(
        kind=OutcomeClass.CONFIG, scope=ConfigScope.DESTINATION, code="cannot_express", detail=missing
    )
