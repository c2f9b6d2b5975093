"""One claim on its way out: check, admit, limit, render, send, settle."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import TypeVar

import structlog

from app.db.engine import unavailable_when_down
from app.domain.decisions import decide
from app.domain.lanes import Lane
from app.domain.outcomes import Outcome
from app.domain.stops import NOTHING_STOPPED, LaneStops
from app.domain.vocabulary import ConfigScope, OutcomeClass, Priority
from app.errors import ClaimClosed, Unavailable
from app.gateways.base import Envelope, HttpFailure, HttpResponse, Request, outcome_of_failure
from app.queue.claims import Claim
from app.queue.rows import Claimed
from app.services import metrics
from app.services.message_metrics import count_claimed
from app.services.sending import answers, checks, observing
from app.services.sending.allowance import forget, give_back, look
from app.services.sending.billing import Bill, billed, bills
from app.services.sending.book import Book
from app.services.sending.ending import Ending
from app.services.sending.placing import place
from app.services.sending.refusals import heed
from app.services.sending.reports import Reports
from app.services.sending.requests import Queue, Requests, Work
from app.services.sending.restraining import restrained
from app.services.sending.tools import Tools
from app.services.sending.ways import chain_of, standing_of
from app.services.sending.withholding import LAST_MOMENT, withheld

log = structlog.get_logger(__name__)

# No request starts longer than this after its recipient was last looked up among the suppressed.
CHECK_HOLDS = 5.0  # seconds
# Results are settled together, but none waits longer than this for others.
SETTLE_SIZE = 500
SETTLE_WITHIN = 1.0  # seconds
OUTAGE_WAIT = timedelta(seconds=2)
# Nothing is started after this, so that the slowest gateway does not make an actor exceed its time.
LONGEST_RUN = 300.0  # seconds

Reply = HttpResponse | HttpFailure
# One request's messages, what became of each, and how long it took.
Answered = tuple[Sequence[Claimed], Sequence[Outcome], timedelta]
T = TypeVar("T")


class ClaimRun:
    """One claim's messages on their way. Used once, by one thread.

    After `begin`, requests go out by `pull` and answers come in by `absorb` until it `is_over`. Whatever
    happened, `finish` ends it.
    """

    def __init__(self, tools: Tools, lane: Lane, claim: Claim, book: Book) -> None:
        self._tools = tools
        self._lane = lane
        self._book = book
        self._all = claim.messages
        self._queue: Queue = deque()
        self._requests = Requests(tools, self._queue, self._conclude, self._hear)
        self._answers: dict[int, str] = {}
        self._bills: dict[int, Bill] = {}
        self._counted: set[int] = set()
        self._reports = Reports(tools)
        self._ending = Ending(tools, lane, claim)
        self._in_flight = 0
        self._checked_at = 0.0
        self._heeded: LaneStops = NOTHING_STOPPED
        self._began = time.monotonic()
        self._leased_until = time.monotonic() + lane.lease.total_seconds()

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is left to be sent or to be heard of."""
        return not self._queue and not self._in_flight

    def begin(self) -> None:
        """Find out what may go now."""
        count_claimed(self._lane.priority, len(self._all))
        if self._lane.priority is Priority.P0:
            self._tools.way.take()
        self._guarded(lambda: self._sort_out(self._all))

    def pull(self, free: int) -> list[tuple[Work, Request]]:
        """Give up to `free` requests, marked as started in the ledger; none where all have begun."""
        given: list[tuple[Work, Request]] = []
        if self._lane.held_back:
            self._tools.way.give()
        # What cannot be said leaves no request, and others may be queued behind it.
        while free and self._queue and not given:
            given = self._guarded(lambda: self._next(free)) or []
        if not given:
            # What was answered is written down all the same, for whoever may have to go on without us.
            self._guarded(lambda: self._start([]))
        self._in_flight += len(given)
        return given

    def absorb(self, finished: Sequence[tuple[Work, Reply]]) -> None:
        """Take in replies to requests that were given."""
        self._in_flight -= len(finished)
        self._absorb(finished)

    def finish(self) -> None:
        """Settle what is left; what cannot be settled now is left to the ledger and stuck-release."""
        finished = self._ending.finish()
        forget(self._tools, self._all)
        if finished:
            self._book.forget()
        elif self._answers:
            self._guarded(lambda: self._book.advance(self._answers, []))
        # Only then: whatever goes wrong with what is told must not cost what is known.
        self._reports.finish()
        self._tools.pace.worked(self._all, time.monotonic() - self._began)
        # They know this run as it knows them: its messages would stay until the collector comes by, seldom.
        del self._requests

    def _guarded(self, step: Callable[[], T]) -> T | None:
        """Do a step that may find Redis, PostgreSQL or the claim gone; nothing more starts then.

        It does not raise, since what is on the wire must still be heard out.
        """
        try:
            return step()
        except ClaimClosed:
            # Another process has released the claim; what it did not know is still ours to tell.
            give_back(self._tools, [message for _, message in self._queue])
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
        messages = self._heed(messages, now)
        with unavailable_when_down(), self._tools.once.connect() as conn:
            refused = checks.refused(conn, self._lane, messages, self._tools.contents, now)
        self._checked_at = asked_at
        self._queue.clear()
        self._ending.decide(messages, refused)
        self._assign([message for message in messages if message.id not in refused])

    def _heed(self, messages: Sequence[Claimed], now: datetime) -> Sequence[Claimed]:
        """Decide about what is stopped; return the others. Raises Unavailable where nobody knows."""
        self._heeded = self._tools.stops.of_lane(self._lane.priority)
        if self._heeded is NOTHING_STOPPED:
            return messages
        stopped = withheld(self._tools, self._lane, self._heeded, messages, now)
        metrics.count_put_back(self._lane.priority, "stopped", len(stopped))
        self._ending.decide(messages, stopped)
        rest = [message for message in messages if message.id not in stopped]
        self._queue.clear()
        self._queue.extend((message.gateway or "", message) for message in rest)
        return rest

    def _assign(self, messages: Sequence[Claimed]) -> None:
        try:
            held = restrained(self._tools, self._lane, messages, self._tools.now(), counted=self._counted)
            going = [message for message in messages if message.id not in held] if held else messages
            assignment, allowance = place(self._tools, self._lane, going, self._tools.now())
        except Unavailable as exc:
            give_back(self._tools, messages)
            self._ending.put_back(messages, OUTAGE_WAIT, str(exc), why="outage", by_us=False)
            return
        self._reports.admitted(assignment.probes, assignment.changes, assignment.sender_probes)
        waits = allowance.waits
        # Who waits has not gone elsewhere: by the time that it may go, its own gateway may be well again.
        self._ending.remark({each: event for each, event in assignment.moved.items() if each not in waits})
        self._ending.decide(messages, assignment.refused | held)
        for gateway, members in assignment.by_gateway.items():
            for message in members:
                if message.id in waits:
                    wait, reason = waits[message.id]
                    self._ending.put_back([message], self._in_time(message, wait), reason, why="limit")
                else:
                    self._queue.append((gateway, message))

    def _in_time(self, message: Claimed, wait: timedelta) -> timedelta:
        """Let nobody expire before its time is over: until then a limit may be raised or reset."""
        left = message.expires_at - self._tools.now() - LAST_MOMENT
        return min(wait, left) if self._lane.on_clock and left > LAST_MOMENT else wait

    def _next(self, free: int) -> list[tuple[Work, Request]]:
        if not self._may_start():
            return []
        built = self._requests.take(free, self._tools.now())
        started = set(self._start(built))
        if not self._is_heeded():
            # What was marked and has not left is known not to have: it is back before anybody reads the mark.
            late = [message for (_, messages, _), _ in built for message in messages if message.id in started]
            give_back(self._tools, late)
            self._ending.put_back(late, timedelta(0), "stopped in the last moment", why="stopped")
            return []
        observing.begun(self._tools, self._lane, built)
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
        look(self._tools)
        if time.monotonic() - self._checked_at > CHECK_HOLDS or not self._is_heeded():
            remaining = [message for _, message in self._queue]
            self._queue.clear()
            give_back(self._tools, remaining)
            self._sort_out(remaining)
        if self._leased_until - time.monotonic() < self._tools.gateway_timeout.total_seconds():
            self._renew()
        return bool(self._queue)

    def _is_heeded(self) -> bool:
        """Tell whether nothing was stopped or resumed since the messages were sorted out."""
        try:
            return self._tools.stops.of_lane(self._lane.priority) == self._heeded
        except Unavailable:
            return False

    def _renew(self) -> None:
        asked_at = time.monotonic()
        if not self._book.renew():
            raise ClaimClosed("The lease is over")
        self._leased_until = asked_at + self._lane.lease.total_seconds()

    def _start(self, built: Sequence[tuple[Work, Request]]) -> list[int]:
        """Mark the messages as started; where that fails they are back in the queue."""
        written, self._answers = self._answers, {}
        try:
            return self._book.advance(written, [m.id for (_, messages, _), _ in built for m in messages])
        except (ClaimClosed, Unavailable):
            self._answers = written
            self._requests.put_back([work for work, _ in built])
            raise

    # After the wire

    def _absorb(self, finished: Sequence[tuple[Work, Reply]]) -> None:
        """Read replies, tell the breakers, conclude, and settle when enough has come together."""
        self._tools.pulse.progress()
        heard: dict[str, list[Answered]] = defaultdict(list)
        for (gateway, messages, envelopes), reply in finished:
            self._reports.timed(gateway, reply.elapsed)
            outcomes = self._outcomes(gateway, envelopes, reply)
            # Before anything else, so that what was taken is known whatever goes wrong with telling of it.
            for message, outcome in zip(messages, outcomes, strict=True):
                self._answers[message.id] = answers.spell(gateway, outcome)
            now = self._tools.now()
            self._bills |= bills(self._tools.catalog, gateway, messages, envelopes, outcomes, now=now)
            heard[gateway].append((messages, outcomes, reply.elapsed))
        for gateway, answered in heard.items():
            self._hear(gateway, answered)
        if self._lane.urgent or self._ending.waiting >= SETTLE_SIZE or self._ending.oldest > SETTLE_WITHIN:
            self._guarded(self._settle)

    def _hear(self, gateway: str, answered: Sequence[Answered]) -> None:
        observing.answered(self._tools, self._lane, gateway, answered)
        kinds = [[outcome.kind for outcome in outcomes] for _, outcomes, _ in answered]
        metrics.count_outcomes(self._lane.priority, gateway, Counter(chain.from_iterable(kinds)))
        ill, refused = self._reports.add(gateway, kinds), False
        for messages, outcomes, _ in answered:
            heed(self._tools, gateway, self._all, messages, outcomes)
            for message, outcome in zip(messages, outcomes, strict=True):
                self._conclude(gateway, message, outcome, ill=ill)
                refused |= self._reports.hear_of_sender(gateway, message, outcome)
        if ill or refused:
            self._reconsider(gateway)

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

    def _reconsider(self, gateway: str) -> None:
        """Ask again where the rest shall go: this gateway has just been found ill."""
        rest = [message for name, message in self._queue if name == gateway]
        if rest:
            others = [item for item in self._queue if item[0] != gateway]
            self._queue.clear()
            self._queue.extend(others)
            give_back(self._tools, rest)
            self._assign(rest)

    # Endings

    def _conclude(self, gateway: str, message: Claimed, outcome: Outcome, *, ill: bool = False) -> None:
        if outcome.kind is OutcomeClass.CONFIG and outcome.scope is ConfigScope.ACCOUNT:
            self._reports.trip(gateway, outcome)
            self._reconsider(gateway)
        others = () if outcome.kind is OutcomeClass.ACCEPTED else chain_of(self._tools, message)
        standing = standing_of(message, gateway, others, ill=ill)
        decision = decide(outcome, standing, self._lane, self._tools.now(), self._tools.chance())
        self._ending.add(message, billed(decision, self._bills.pop(message.id, None)))

    def _put_back_queue(self, wait: timedelta, reason: str, *, why: str, by_us: bool = True) -> None:
        messages = [message for _, message in self._queue]
        self._queue.clear()
        give_back(self._tools, messages)
        self._ending.put_back(messages, wait, reason, why=why, by_us=by_us)
