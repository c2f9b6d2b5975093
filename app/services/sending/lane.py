"""Working a lane: claim after claim, as long as there is something to send."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import structlog

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.errors import ClaimClosed, Unavailable
from app.queue import PACKAGE, claims
from app.queue.claims import Claim, Harvest
from app.services.sending.book import Book, open_book
from app.services.sending.convoy import Convoy, nothing_more
from app.services.sending.gate import left_out_clients, open_channels
from app.services.sending.run import ClaimRun
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# After so long a thread hands the lane on, so that no actor runs for ever.
STINT = 60.0  # seconds
# What comes due so soon is waited for, by one thread of a process: limits of so many a second are used
# evenly, and not in one burst whenever the dispatcher looks.
SOON = 1.5  # seconds
# So much comes due together, rather than one by one.
GATHER = 0.2  # seconds


def work(tools: Tools, priority: Priority, *, sweep: bool) -> int:
    """Claim and send until the lane has nothing due; returns how many messages were claimed.

    `sweep` looks from the beginning, past the gate, for one batch; then it goes on as usual.
    """
    return _Stint(tools, tools.lanes[priority], sweep=sweep).run()


def work_claim(tools: Tools, priority: Priority, claim: UUID) -> None:
    """Take a waiting claim over and send it; does nothing where another has it."""
    lane = tools.lanes[priority]
    try:
        book = open_book(tools, lane, claim)
    except ClaimClosed:
        return
    with unavailable_when_down(), tools.once.connect() as conn:
        taken = claims.take_over(conn, lane, claim, worker=tools.worker)
    if taken:
        _send(tools, ClaimRun(tools, lane, taken, book))


def work_these(tools: Tools, priority: Priority, messages: Sequence[int]) -> None:
    """Send these at once, wherever they stand in the lane; what is no longer pending is left alone."""
    lane = tools.lanes[priority]
    book = open_book(tools, lane, uuid4())
    with unavailable_when_down(), tools.once.connect() as conn:
        taken = claims.claim_these(conn, lane, book.claim, messages, worker=tools.worker)
    if taken:
        _send(tools, ClaimRun(tools, lane, taken, book))
    else:
        book.forget()


class _Stint:
    def __init__(self, tools: Tools, lane: Lane, *, sweep: bool) -> None:
        self._tools = tools
        self._lane = lane
        self._sweep = sweep
        self._ends_at = time.monotonic() + STINT
        self._book: Book | None = None
        self._claimed = 0
        self._has_more = True
        self._channels: list[str] = []

    def run(self) -> int:
        try:
            while (first := self._claimed_first()) is not None:
                _send(self._tools, first, self._claimed_behind)
        except Unavailable as exc:
            self._rest(exc)
        finally:
            if self._book:
                self._book.forget()
        if self._claimed and (self._has_more or self._tools.stopping.is_set()):
            # Neither what is left nor what was put back shall wait until the dispatcher finds it.
            self._tools.wake.lane(self._lane.priority)
        return self._claimed

    def _claimed_first(self) -> ClaimRun | None:
        """Claim while nothing is on the wire, resting where that has to be; None where the stint is over."""
        while self._goes_on():
            if self._has_more:
                if run := self._batch():
                    return run
            elif self._rested() or self._awaited():
                self._has_more = True
            else:
                break
        return None

    def _claimed_behind(self) -> ClaimRun | None:
        """Claim what goes out behind what is on the wire; None where there is nothing for now."""
        try:
            # The time that a claim takes decides how long what grows again is left alone after it.
            alone = bool(self._tools.stops.of_lane(self._lane.priority).growing)
            while self._has_more and not alone and self._goes_on():
                if run := self._batch():
                    return run
        except Unavailable as exc:
            self._rest(exc)
        return None

    def _goes_on(self) -> bool:
        return not self._tools.stopping.is_set() and time.monotonic() < self._ends_at

    def _rest(self, exc: Unavailable) -> None:
        log.warning("lane rests", lane=self._lane.priority.value, error=str(exc))
        self._ends_at, self._has_more = time.monotonic(), False

    def _rested(self) -> bool:
        """Wait until what grows again after a stop may be claimed; False where nothing waits for that."""
        seconds = self._tools.pace.left(self._tools.stops.of_lane(self._lane.priority))
        return seconds is not None and not self._tools.stopping.wait(seconds)

    def _awaited(self) -> bool:
        """Wait for what comes due in a moment; False where nothing does, or another thread waits for it."""
        waiting = self._tools.waiting[self._lane.priority]
        if not self._channels or not waiting.acquire(blocking=False):
            return False
        try:
            seconds = self._next_due()
            return (
                seconds is not None
                and seconds <= SOON
                and not self._tools.stopping.wait(max(seconds, GATHER))
            )
        finally:
            waiting.release()

    def _next_due(self) -> float | None:
        with unavailable_when_down(), self._tools.once.connect() as conn:
            parameters = {"priority": self._lane.priority, "channels": self._channels}
            seconds: float | None = run(conn, PACKAGE, "next_due", parameters).scalar_one()
        return seconds

    def _batch(self) -> ClaimRun | None:
        """Claim once, and say whether the lane has more; gives what is ours of it."""
        sweep, self._sweep, self._has_more = self._sweep, False, False
        channels = open_channels(self._tools, self._lane, past_gate=sweep)
        self._channels = [channel.value for channel in channels]
        if not channels:
            return None
        positions = self._tools.positions[self._lane.priority]
        from_beginning = sweep or not positions.known()
        harvest = self._claim(self._channels, from_beginning)
        if harvest.full:
            self._tools.wake.lane(self._lane.priority)
        # Rows may have come in behind the position; a look from the beginning settles it.
        self._has_more = harvest.full or not from_beginning
        return self._own(harvest.claims)

    def _own(self, claims: Sequence[Claim]) -> ClaimRun | None:
        """Take what is ours, and tell others of theirs."""
        run = None
        for claim in claims:
            self._claimed += len(claim.messages)
            if not claim.own:
                self._tools.wake.claim(self._lane.priority, claim.uuid)
            elif self._book:
                run, self._book = ClaimRun(self._tools, self._lane, claim, self._book), None
        return run

    def _claim(self, channels: Sequence[str], from_beginning: bool) -> Harvest:  # noqa: FBT001 — handed through
        if self._book is None:
            self._book = open_book(self._tools, self._lane, uuid4())
        with unavailable_when_down(), self._tools.once.connect() as conn:
            return claims.claim(
                conn,
                self._tools.pace.smaller(self._lane, self._tools.stops.of_lane(self._lane.priority)),
                self._book.claim,
                channels=channels,
                worker=self._tools.worker,
                positions=self._tools.positions[self._lane.priority],
                from_beginning=from_beginning,
                without_clients=left_out_clients(self._tools, self._lane.priority),
            )


def _send(tools: Tools, first: ClaimRun, following: Callable[[], ClaimRun | None] = nothing_more) -> None:
    with tools.pulse.working():
        Convoy(tools.transport(), first, following).carry()
