"""Accepting one message."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import bare, unavailable_when_down
from app.db.sql import run_bare
from app.domain.addresses import suppression_key
from app.domain.callers import Caller
from app.domain.vocabulary import Priority, Status
from app.errors import Fault, InFlight, Invalid, Unavailable
from app.queue import PACKAGE
from app.services import idempotency
from app.services.catalog import Catalog
from app.services.field_rules import LONGEST_DATA, id_faults, json_faults, name_faults
from app.services.planning import (
    Plan,
    address_of,
    as_json,
    plan,
    require_gateway,
    shared_columns,
    variable_faults,
)
from app.services.requests import SendRequest
from app.services.views import Accepted
from app.settings import Settings

_TRIES = 3


def accept(
    engine: sa.Engine,
    catalog: Catalog,
    settings: Settings,
    caller: Caller,
    request: SendRequest,
    *,
    idempotency_key: str | None,
    request_hash: bytes,
) -> Accepted:
    """Accept one message in one statement, which commits by itself; see MessageService.send."""
    idempotency.check_key(idempotency_key)
    request_hash = b"message:" + request_hash
    with unavailable_when_down():
        the_plan, parameters = prepared(caller, request, catalog, settings)
        key = {"key": idempotency_key, "request_hash": request_hash, "kept": idempotency.KEPT}
        return _written(engine, {**parameters, **key}, the_plan, request_hash)


def prepared(
    caller: Caller, request: SendRequest, catalog: Catalog, settings: Settings
) -> tuple[Plan, dict[str, Any]]:
    """Work out what `accept.sql` needs, but for the idempotency key; raises what MessageService.send does."""
    the_plan, address = _checked(caller, request, catalog, settings)
    return the_plan, {
        **shared_columns(caller, request, the_plan),
        **_limits(the_plan),
        **_own(request, address),
    }


def as_accepted(row: Any, the_plan: Plan) -> Accepted:
    """Read the row of `accept.sql` of a message that was written."""
    return Accepted(
        uuid=row.uuid,
        status=Status(row.status),
        priority=the_plan.lane.priority,
        gateway=the_plan.gateway,
        reason=row.reason,
        message=row.id,
    )


def _checked(caller: Caller, request: SendRequest, catalog: Catalog, settings: Settings) -> tuple[Plan, str]:
    address, faults = _address(request, settings)
    the_plan, found = plan(caller, request, catalog, settings, datetime.now(UTC), address=address)
    found += [*faults, *_recipient_faults(request, the_plan)]
    if found:
        raise Invalid(found)
    require_gateway(the_plan, request.channel)
    return the_plan, address


def _address(request: SendRequest, settings: Settings) -> tuple[str, Sequence[Fault]]:
    if request.recipient_address is None:
        return "", [Fault("recipient_address", "is missing")]
    try:
        return address_of(request, request.recipient_address, settings.phone_region), ()
    except Invalid as exc:
        return "", exc.faults


def _recipient_faults(request: SendRequest, the_plan: Plan) -> list[Fault]:
    return [
        *name_faults("recipient_type", request.recipient_type),
        *id_faults("recipient_id", request.recipient_id),
        *json_faults("data", request.data, LONGEST_DATA),
        *variable_faults(the_plan, request.data),
    ]


def _own(request: SendRequest, address: str) -> dict[str, Any]:
    return {
        "recipient_type": request.recipient_type,
        "recipient_id": request.recipient_id,
        "recipient_address": address,
        "suppression_key": suppression_key(request.channel, address),
        "content_data": as_json(request.data),
    }


def _limits(the_plan: Plan) -> dict[str, Any]:
    return {
        "max_age": the_plan.lane.max_age,
        "max_attempts": the_plan.lane.max_attempts,
        "marketing": the_plan.question.marketing,
        "reasons": [reason.value for reason in the_plan.question.reasons],
        "sender": the_plan.sender.address if the_plan.sender else None,
    }


def _written(
    engine: sa.Engine, parameters: Mapping[str, Any], the_plan: Plan, request_hash: bytes
) -> Accepted:
    with bare(engine) as conn:
        for _ in range(_TRIES):
            row = run_bare(conn, PACKAGE, "accept", parameters)[0]
            if row.uuid is not None:
                return as_accepted(row, the_plan)
            if not row.locked:
                raise InFlight("a request with this idempotency key is still running")
            if row.known_state is not None:
                return _replayed(
                    idempotency.replay(row.known_state, row.known_hash, row.known_answer, request_hash)
                )
    raise Unavailable("the idempotency key changes hands too quickly")


def _replayed(answer: Mapping[str, Any]) -> Accepted:
    return Accepted(
        uuid=UUID(answer["uuid"]),
        status=Status(answer["status"]),
        priority=Priority(answer["priority"]),
        gateway=answer["gateway"],
        reason=answer["reason"],
        replayed=True,
    )
