"""Settling: writing down what became of claimed messages, many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
import sqlalchemy as sa

from app.db.arrays import flags, numbers, texts
from app.db.sql import run
from app.domain.decisions import Decision, Event
from app.domain.lanes import Lane
from app.queue import PACKAGE


@dataclass(frozen=True, slots=True)
class Settlement:
    """A decision about one try of one message."""

    message: int
    try_number: int
    decision: Decision


def settle(
    conn: sa.Connection,
    lane: Lane,
    claim: UUID,
    settlements: Sequence[Settlement],
    *,
    worker: str,
    finished: bool,
    source: str,
) -> set[int]:
    """Write decisions and their events in one statement; give the ids of messages that it changed.

    A message that the claim no longer holds stays as it is. The lease is renewed, or the claim
    closed where this was its last message (`finished`), while it is
    this worker's. `source` goes into the events.
    """
    parameters = {
        "priority": lane.priority,
        "claim": claim,
        "worker": worker,
        "lease": lane.lease,
        "finished": finished,
        "source": source,
        **_results(settlements),
        **_events([(s, event) for s in settlements for event in s.decision.events]),
    }
    return {row[0] for row in run(conn, PACKAGE, "settle", parameters)}


def _results(settlements: Sequence[Settlement]) -> dict[str, str]:
    decisions = [settlement.decision for settlement in settlements]
    return {
        "ids": numbers(settlement.message for settlement in settlements),
        "try_numbers": numbers(settlement.try_number for settlement in settlements),
        "statuses": texts(decision.status for decision in decisions),
        "gateways": texts(decision.gateway for decision in decisions),
        "external_ids": texts(decision.external_id for decision in decisions),
        "delays": numbers(decision.delay.total_seconds() for decision in decisions),
        "extensions": numbers(decision.extends.total_seconds() for decision in decisions),
        "rounds": numbers(decision.attempts for decision in decisions),
        "tried": texts(",".join(decision.tried) for decision in decisions),
        "duplicates": flags(decision.possible_duplicate for decision in decisions),
        "errors": texts(decision.error for decision in decisions),
        "error_classes": texts(decision.error_class for decision in decisions),
    }


def _events(events: Sequence[tuple[Settlement, Event]]) -> dict[str, str]:
    return {
        "event_ids": numbers(settlement.message for settlement, _ in events),
        "event_types": texts(event.event_type for _, event in events),
        "event_attempts": numbers(settlement.try_number for settlement, _ in events),
        "event_gateways": texts(event.gateway for _, event in events),
        "event_outcomes": texts(event.outcome for _, event in events),
        "event_codes": texts(event.code or None for _, event in events),
        "event_details": texts(event.detail or None for _, event in events),
        "event_external_ids": texts(event.external_id for _, event in events),
        "event_data": texts(orjson.dumps(event.data).decode() if event.data else None for _, event in events),
    }
