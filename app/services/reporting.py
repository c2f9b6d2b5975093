"""Events that callers add to their messages."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.callers import Caller
from app.domain.vocabulary import EventType
from app.errors import InFlight, Invalid, NotFound, Unavailable
from app.queue import PACKAGE
from app.services import idempotency
from app.services.field_rules import LONGEST_METADATA, storable
from app.services.views import EventReported

# What only the caller can know. The others are ours or the gateways' to tell.
REPORTABLE = (EventType.CONVERTED, EventType.REPLIED, EventType.CONFIRMED)

_TRIES = 3


def report_event(
    engine: sa.Engine,
    caller: Caller,
    uuid: UUID,
    event_type: EventType,
    data: Mapping[str, Any],
    *,
    idempotency_key: str | None,
    request_hash: bytes,
) -> EventReported:
    """Add an event to a message; see MessageService. `engine` commits each statement by itself."""
    idempotency.check_key(idempotency_key)
    request_hash = b"event:" + request_hash
    parameters = {
        "client_id": caller.client_id,
        "all": caller.may("admin"),
        "uuid": uuid,
        "event_type": _reportable(event_type).value,
        "data": _json(data),
        "key": idempotency_key,
        "request_hash": request_hash,
        "kept": idempotency.KEPT,
    }
    with unavailable_when_down():
        return _written(engine, parameters, request_hash)


def _written(engine: sa.Engine, parameters: Mapping[str, Any], request_hash: bytes) -> EventReported:
    with engine.connect() as conn:
        for _ in range(_TRIES):
            row = run(conn, PACKAGE, "report_event", parameters).one()
            if row.event_id is not None:
                return EventReported(uuid=parameters["uuid"], event_type=EventType(parameters["event_type"]))
            if not row.locked:
                raise InFlight("a request with this idempotency key is still running")
            if row.known_state is not None:
                answer = idempotency.replay(row.known_state, row.known_hash, row.known_answer, request_hash)
                return EventReported(
                    uuid=UUID(answer["uuid"]), event_type=EventType(answer["event_type"]), replayed=True
                )
            if row.message_id is None:
                raise NotFound("there is no such message")
    raise Unavailable("the idempotency key changes hands too quickly")


def _reportable(event_type: EventType) -> EventType:
    if event_type not in REPORTABLE:
        raise Invalid.of("event_type", f"must be one of {', '.join(REPORTABLE)}")
    return event_type


def _json(data: Mapping[str, Any]) -> str | None:
    try:
        return storable(data, LONGEST_METADATA) if data else None
    except ValueError as exc:
        raise Invalid.of("data", str(exc)) from exc
