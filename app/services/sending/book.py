"""The worker's side of the ledger: marking starts in Redis, or in PostgreSQL where there is none."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.db.engine import unavailable_when_down
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.errors import ClaimClosed, Unavailable
from app.limits.ledger import ClaimLedger
from app.queue import claims
from app.services.sending.tools import Tools


def open_book(tools: Tools, lane: Lane, claim: UUID) -> "Book":
    """Open the ledger for a claim before it is this worker's.

    Raises ClaimClosed where another has it, and Unavailable without Redis, but for emergencies.
    """
    try:
        ledger = tools.ledger.claim(claim, still_ours=lambda: _renew(tools, lane, claim, ()))
    except Unavailable:
        if lane.priority is not Priority.P0:
            raise
        ledger = None
    return Book(tools, lane, claim, ledger)


class Book:
    """What is written down of one claim while it is sent; for one thread."""

    def __init__(self, tools: Tools, lane: Lane, claim: UUID, ledger: ClaimLedger | None) -> None:
        self.claim = claim
        self._tools = tools
        self._lane = lane
        self._ledger = ledger

    def advance(self, answers: Mapping[int, str], starts: Sequence[int]) -> list[int]:
        """Write answers down and mark starts; returns the messages that may start.

        Raises ClaimClosed where the claim was released, and Unavailable where Redis is gone: nothing may
        start then. Emergencies are marked in PostgreSQL instead.
        """
        if self._ledger is not None:
            try:
                return self._ledger.advance(answers, starts)
            except Unavailable:
                if self._lane.priority is not Priority.P0:
                    raise
        if not self.renew(starts):
            raise ClaimClosed("The claim was released while it was being sent")
        return list(starts)

    def renew(self, marks: Sequence[int] = ()) -> bool:
        """Lengthen the lease; False where the claim is no longer this worker's."""
        return _renew(self._tools, self._lane, self.claim, marks)

    def forget(self) -> None:
        """Remove the entry once everything is settled; what stays goes with its time to live."""
        if self._ledger is not None:
            try:
                self._tools.ledger.forget(self.claim)
            except Unavailable:
                self._ledger = None


def _renew(tools: Tools, lane: Lane, claim: UUID, marks: Sequence[int]) -> bool:
    with unavailable_when_down(), tools.once.connect() as conn:
        return claims.renew(conn, lane, claim, worker=tools.worker, marks=marks)
