"""Settling: writing down what became of claimed messages, many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

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


def _results(settlements: Sequence[Settlement]) -> dict[str, list[Any]]:
    decisions = [settlement.decision for settlement in settlements]
    return {
        "ids": [settlement.message for settlement in settlements],
        "try_numbers": [settlement.try_number for settlement in settlements],
        "statuses": [decision.status.value for decision in decisions],
        "gateways": [decision.gateway for decision in decisions],
        "external_ids": [decision.external_id for decision in decisions],
        "delays": [decision.delay for decision in decisions],
        "extensions": [decision.extends for decision in decisions],
        "rounds": [decision.attempts for decision in decisions],
        "tried": [",".join(decision.tried) for decision in decisions],
        "duplicates": [decision.possible_duplicate for decision in decisions],
        "errors": [decision.error for decision in decisions],
        "error_classes": [decision.error_class and decision.error_class.value for decision in decisions],
    }


def _events(events: Sequence[tuple[Settlement, Event]]) -> dict[str, list[Any]]:
    return {
        "event_ids": [settlement.message for settlement, _ in events],
        "event_types": [event.event_type.value for _, event in events],
        "event_attempts": [settlement.try_number for settlement, _ in events],
        "event_gateways": [event.gateway for _, event in events],
        "event_outcomes": [event.outcome and event.outcome.value for _, event in events],
        "event_codes": [event.code or None for _, event in events],
        "event_details": [event.detail or None for _, event in events],
        "event_external_ids": [event.external_id for _, event in events],
        "event_data": [orjson.dumps(event.data).decode() if event.data else None for _, event in events],
    }
