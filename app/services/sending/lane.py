"""Working a lane: claim after claim, as long as there is something to send."""

import time
from collections.abc import Sequence
from uuid import UUID, uuid4

import structlog

from app.db.engine import unavailable_when_down
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.errors import ClaimClosed, Unavailable
from app.queue import claims
from app.queue.claims import Claim, Harvest
from app.services.message_metrics import count_claimed
from app.services.sending.book import Book, open_book
from app.services.sending.gate import left_out_clients, open_channels
from app.services.sending.run import ClaimRun
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# After so long a thread hands the lane on, so that no actor runs for ever.
STINT = 60.0  # seconds


def work(tools: Tools, priority: Priority, *, sweep: bool) -> int:
    """Claim and send until the lane has nothing due; returns how many messages were claimed.

    `sweep` looks from the beginning, past the gate, for one batch; then it goes on as usual.
    """
    return _Stint(tools, tools.lanes[priority]).run(sweep=sweep)


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
        _send(tools, lane, taken, book)


def work_these(tools: Tools, priority: Priority, messages: Sequence[int]) -> None:
    """Send these at once, wherever they stand in the lane; what is no longer pending is left alone."""
    lane = tools.lanes[priority]
    book = open_book(tools, lane, uuid4())
    with unavailable_when_down(), tools.once.connect() as conn:
        taken = claims.claim_these(conn, lane, book.claim, messages, worker=tools.worker)
    if taken:
        _send(tools, lane, taken, book)
    else:
        book.forget()


class _Stint:
    def __init__(self, tools: Tools, lane: Lane) -> None:
        self._tools = tools
        self._lane = lane
        self._book: Book | None = None
        self._claimed = 0

    def run(self, *, sweep: bool) -> int:
        ends_at = time.monotonic() + STINT
        try:
            while not self._tools.stopping.is_set():
                if not self._batch(sweep=sweep) and not self._rested():
                    break
                sweep = False
                if time.monotonic() > ends_at:
                    self._tools.wake.lane(self._lane.priority)
                    break
        except Unavailable as exc:
            log.warning("lane rests", lane=self._lane.priority.value, error=str(exc))
        finally:
            if self._book:
                self._book.forget()
        if self._claimed and self._tools.stopping.is_set():
            # What was put back shall not wait until the dispatcher finds it.
            self._tools.wake.lane(self._lane.priority)
        return self._claimed

    def _rested(self) -> bool:
        """Wait until what grows again after a stop may be claimed; False where nothing waits for that."""
        seconds = self._tools.pace.left(self._tools.stops.of_lane(self._lane.priority))
        return seconds is not None and not self._tools.stopping.wait(seconds)

    def _batch(self, *, sweep: bool) -> bool:
        """Claim and send once; tells whether there may be more."""
        channels = open_channels(self._tools, self._lane, past_gate=sweep)
        if not channels:
            return False
        positions = self._tools.positions[self._lane.priority]
        from_beginning = sweep or not positions.known()
        harvest = self._claim([channel.value for channel in channels], from_beginning)
        for claim in harvest.claims:
            self._claimed += len(claim.messages)
            if not claim.own:
                self._tools.wake.claim(self._lane.priority, claim.uuid)
        if harvest.full:
            self._tools.wake.lane(self._lane.priority)
        for claim in harvest.claims:
            if claim.own:
                self._send(claim)
        # Rows may have come in behind the position; a look from the beginning settles it.
        return harvest.full or not from_beginning

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

    def _send(self, claim: Claim) -> None:
        book, self._book = self._book, None
        if book:
            _send(self._tools, self._lane, claim, book)


def _send(tools: Tools, lane: Lane, claim: Claim, book: Book) -> None:
    began = time.monotonic()
    try:
        count_claimed(lane.priority, len(claim.messages))
        with tools.pulse.working():
            ClaimRun(tools, tools.transport(), lane, claim, book).run()
    finally:
        tools.pace.worked(claim.messages, time.monotonic() - began)
