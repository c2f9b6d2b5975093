"""Stuck-release: what becomes of messages whose worker died, stalled or was cut off."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from app.db.engine import unavailable_when_down
from app.domain.decisions import Decision, decide, put_back
from app.domain.lanes import Lane
from app.domain.outcomes import Outcome
from app.domain.vocabulary import ClaimState, OutcomeClass, Priority
from app.errors import Unavailable
from app.limits.ledger import Reading
from app.queue import claims
from app.queue.claims import Claim, Lapsed
from app.queue.rows import Claimed
from app.services.metrics import count_released
from app.services.sending import answers
from app.services.sending.billing import bill_again, billed
from app.services.sending.ending import Ending
from app.services.sending.tools import Tools
from app.services.sending.ways import chain_of, standing_of

log = structlog.get_logger(__name__)

# So many claims are taken at a time, so that their releasing fits into the lease that comes with them.
AT_A_TIME = 10

NOTHING_STARTED = Reading(started=frozenset(), answers={})
LAPSED = Outcome(
    kind=OutcomeClass.UNKNOWN, code="lapsed", detail="the worker was lost while this was being sent"
)


def release(tools: Tools, priority: Priority) -> int:
    """Release the messages of claims in this lane whose lease is over; returns how many there were.

    What the ledger knows to be accepted is settled as sent, what was not started goes back as if
    nothing had been, and of the rest nobody knows: the lane's rule for unknown outcomes decides.
    """
    # Under a name of its own, so that the worker that lost the claim cannot renew it.
    ours = replace(tools, worker=f"{tools.worker} release")
    lane = tools.lanes[priority]
    with unavailable_when_down(), tools.once.connect() as conn:
        lapsed = claims.take_lapsed(conn, lane, worker=ours.worker, limit=AT_A_TIME)
    released = sum(_release(ours, lane, claim) for claim in lapsed)
    if released:
        tools.wake.lane(priority)
    return released


def _release(tools: Tools, lane: Lane, lapsed: Lapsed) -> int:
    try:
        reading = _read(tools, lane, lapsed)
    except Unavailable:
        # The ledger will be asked again when the lease that came with the claim is over.
        return 0
    with unavailable_when_down(), tools.once.connect() as conn:
        messages = claims.still_processing(conn, lane, lapsed.uuid)
    claim = Claim(uuid=lapsed.uuid, priority=lane.priority, own=True, messages=tuple(messages))
    ending = Ending(tools, lane, claim, source="ledger")
    for message in messages:
        ending.add(message, _decide(tools, lane, message, reading))
    if ending.finish():
        with suppress(Unavailable):
            tools.ledger.forget(lapsed.uuid)
    count_released(lane.priority, len(messages), ledger_lost=reading is None)
    log.warning(
        "claim released",
        lane=lane.priority.value,
        claim=str(lapsed.uuid),
        messages=len(messages),
        ledger="lost" if reading is None else "read",
    )
    return len(messages)


def _read(tools: Tools, lane: Lane, lapsed: Lapsed) -> Reading | None:
    if lapsed.state is ClaimState.CLAIMED:
        return NOTHING_STARTED
    try:
        reading = tools.ledger.close(lapsed.uuid)
    except Unavailable:
        # Emergencies do not wait for Redis: what it would have said is unknown.
        if lane.priority is not Priority.P0:
            raise
        reading = None
    if reading is not None and lapsed.marked:
        return Reading(started=reading.started | lapsed.marked, answers=reading.answers)
    return reading


def _decide(tools: Tools, lane: Lane, message: Claimed, reading: Reading | None) -> Decision:
    now = tools.now()
    chain = chain_of(tools, message)
    if reading is not None and message.id not in reading.started | reading.answers.keys():
        return put_back(standing_of(message, message.gateway or "", chain), lane, timedelta(0), now)
    answer = reading.answers.get(message.id) if reading else None
    gateway, outcome = answers.read(answer) if answer else (message.gateway or "", LAPSED)
    decision = decide(outcome, standing_of(message, gateway, chain), lane, now, tools.chance())
    if outcome.kind is not OutcomeClass.ACCEPTED:
        return decision
    return billed(decision, bill_again(tools.catalog, gateway, tools.contents.envelope(message), now))
