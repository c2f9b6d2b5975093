"""Accepting a push to a person: one message for each device that the person uses, all or none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, Priority, Status
from app.errors import InFlight, Invalid
from app.queue import PACKAGE
from app.services import idempotency
from app.services.accepting import as_accepted, prepared
from app.services.catalog import Catalog
from app.services.devices import active_devices
from app.services.field_rules import id_faults, name_faults
from app.services.planning import Plan
from app.services.requests import SendRequest
from app.services.views import Accepted
from app.settings import Settings

# Nobody has so many; a person who seems to is a mistake of whoever registers.
MOST_DEVICES = 100


def accept_for_devices(
    engine: sa.Engine,
    catalog: Catalog,
    settings: Settings,
    caller: Caller,
    request: SendRequest,
    *,
    idempotency_key: str | None,
    request_hash: bytes,
) -> Accepted:
    """Accept one message for each of the recipient's devices; see MessageService.send.

    Raises Invalid too where the recipient has no device in use.
    """
    idempotency.check_key(idempotency_key)
    _recipient(request)
    request_hash = b"devices:" + request_hash
    with unavailable_when_down(), engine.begin() as conn:
        known = known_answer(conn, caller, idempotency_key, request_hash)
        if known is not None:
            return replayed(known)
        accepted = accept_within(conn, catalog, settings, caller, request)
        keep_answer(conn, caller, idempotency_key, request_hash, told(accepted))
    return accepted


def goes_to_devices(request: SendRequest) -> bool:
    """Tell whether a request means a person's devices and not one address."""
    return request.channel is Channel.PUSH and request.recipient_address is None


def accept_within(
    conn: sa.Connection, catalog: Catalog, settings: Settings, caller: Caller, request: SendRequest
) -> Accepted:
    """Accept a request, for one address or for all devices, as a part of the caller's transaction.

    Raises what MessageService.send does, but knows of no idempotency key.
    """
    prepare = partial(prepared, caller, catalog=catalog, settings=settings)
    if not goes_to_devices(request):
        return _accepted(conn, prepare, request)
    devices = _devices(conn, _recipient(request), request, settings)
    return _all([_accepted(conn, prepare, _for_device(request, device)) for device in devices])


def _recipient(request: SendRequest) -> int:
    found = [
        *name_faults("recipient_type", request.recipient_type),
        *id_faults("recipient_id", request.recipient_id),
    ]
    if found:
        raise Invalid(found)
    if request.recipient_id is None:
        raise Invalid.of("recipient_address", "is missing: give a device token, a topic, or a recipient_id")
    return request.recipient_id


def _devices(
    conn: sa.Connection, recipient: int, request: SendRequest, settings: Settings
) -> Sequence[sa.Row[Any]]:
    devices = active_devices(
        conn,
        request.recipient_type,
        recipient,
        platform=request.platform,
        stale_after=timedelta(days=settings.device_stale_days),
    )
    if not devices:
        raise Invalid.of("recipient_id", "has no device in use that was seen lately")
    return devices[:MOST_DEVICES]


def _accepted(
    conn: sa.Connection,
    prepare: Callable[[SendRequest], tuple[Plan, dict[str, Any]]],
    request: SendRequest,
) -> Accepted:
    the_plan, parameters = prepare(request)
    key = {"key": None, "request_hash": b"", "kept": idempotency.KEPT}
    return as_accepted(run(conn, PACKAGE, "accept", {**parameters, **key}).one(), the_plan)


def _for_device(request: SendRequest, device: sa.Row[Any]) -> SendRequest:
    """Mean one device, in its own language where the caller names none."""
    return replace(
        request,
        recipient_address=device.token,
        platform=device.platform,
        locale=request.locale or device.locale,
    )


def _all(messages: Sequence[Accepted]) -> Accepted:
    first = next((message for message in messages if message.status is Status.PENDING), messages[0])
    return replace(first, messages=tuple(messages))


def known_answer(
    conn: sa.Connection, caller: Caller, key: str | None, request_hash: bytes
) -> Mapping[str, Any] | None:
    """Hold the key until the end of the transaction; gives the first answer where there is one."""
    if key is None:
        return None
    parameters = {"client_id": caller.client_id, "key": key}
    if not run(conn, PACKAGE, "hold_key", parameters).one().locked:
        raise InFlight("a request with this idempotency key is still running")
    # A statement of its own sees what was committed by whoever held the key before.
    row = run(conn, PACKAGE, "known_key", parameters).one_or_none()
    return idempotency.replay(row.state, row.request_hash, row.answer, request_hash) if row else None


def keep_answer(
    conn: sa.Connection, caller: Caller, key: str | None, request_hash: bytes, answer: Mapping[str, Any]
) -> None:
    """Keep the answer under the key that `known_answer` holds."""
    if key is None:
        return
    parameters = {
        "client_id": caller.client_id,
        "key": key,
        "request_hash": request_hash,
        "answer": orjson.dumps(answer).decode(),
        "kept": idempotency.KEPT,
    }
    run(conn, PACKAGE, "keep_answer", parameters)


def told(accepted: Accepted) -> dict[str, Any]:
    """Spell an answer as it is kept under a key."""
    return _one(accepted) | {"messages": [_one(message) for message in accepted.messages]}


def replayed(answer: Mapping[str, Any]) -> Accepted:
    """Read an answer back that was kept under a key."""
    messages = tuple(_read(each) for each in answer["messages"])
    return replace(_read(answer), messages=messages)


def _one(accepted: Accepted) -> dict[str, Any]:
    return {
        "uuid": str(accepted.uuid),
        "status": accepted.status.value,
        "priority": accepted.priority.value,
        "gateway": accepted.gateway,
        "reason": accepted.reason,
    }


def _read(told: Mapping[str, Any]) -> Accepted:
    return Accepted(
        uuid=UUID(told["uuid"]),
        status=Status(told["status"]),
        priority=Priority(told["priority"]),
        gateway=told["gateway"],
        reason=told["reason"],
        replayed=True,
    )
