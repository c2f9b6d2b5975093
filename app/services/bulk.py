"""Taking in a bulk request: row by row, in little memory, all or nothing."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.callers import Caller
from app.errors import Conflict, InFlight, Invalid, Unavailable
from app.queue import PACKAGE
from app.services import idempotency
from app.services.catalog import Catalog
from app.services.field_rules import LONGEST_DATA, json_faults
from app.services.headroom import Headroom
from app.services.inflow import Inflow, RowCheck
from app.services.limit_table import NO_LIMITS
from app.services.message_metrics import count_accepted
from app.services.planning import Plan, plan, require_gateway, shared_columns
from app.services.requests import BulkHead, Reject, Row
from app.services.staging import LEASE, Upload, discard, discard_lapsed, drop_duplicates, renew
from app.services.views import BatchAccepted
from app.services.way import Way
from app.settings import Settings
from app.wake import Wake

# Writes something down in the transaction that accepts a batch.
Noted = Callable[[sa.Connection, UUID], None]

_TRIES = 3
# What is said again to who repeats a request.
_KEPT = ("batch", "received", "invalid", "warnings")


class BulkIntake:
    """Takes bulk requests in; see MessageService.send_bulk."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, wake: Wake, settings: Settings, way: Way) -> None:
        self._way = way
        self._engine = engine
        self._catalog = catalog
        self._wake = wake
        self._settings = settings

    def take_in(
        self,
        caller: Caller,
        head: BulkHead,
        rows: Iterable[Row | Reject],
        *,
        idempotency_key: str | None,
        request_hash: Callable[[], bytes],
        noted: Noted | None = None,
    ) -> BatchAccepted:
        """Stage all rows under the key's protection; the last commit accepts the batch."""
        idempotency.check_key(idempotency_key)
        with unavailable_when_down():
            the_plan = bulk_plan(caller, head, self._catalog, self._settings)
            begun = self._begin(_head_parameters(caller, head, the_plan, idempotency_key))
            if not isinstance(begun, Upload):
                return _replayed(begun, rows, request_hash)
            check = RowCheck(head, the_plan, self._settings.phone_region)
            headroom = headroom_of(the_plan, head, self._catalog, self._settings)
            way = self._way if the_plan.lane.held_back else None
            inflow = Inflow(self._engine, begun.id, check, headroom, way)
            accepted = self._all_or_nothing(begun, head, inflow, rows, request_hash, noted=noted)
        self._wake.batch(the_plan.lane.priority, begun.id)
        good = accepted.received - accepted.invalid
        count_accepted(the_plan.lane.priority, head.channel, good, bulk=True)
        return accepted

    def _begin(self, parameters: Mapping[str, Any]) -> "Upload | sa.Row[Any]":
        """Open an upload, or give the row of an earlier request with the key; raises InFlight."""
        for _ in range(_TRIES):
            with self._engine.begin() as conn:
                row = run(conn, PACKAGE, "begin_upload", parameters).one()
            if row.batch_id is not None:
                return Upload(id=row.batch_id, uuid=row.uuid)
            if row.lapsed and discard_lapsed(self._engine, parameters["client_id"], parameters["key"]):
                continue
            if not row.locked:
                raise InFlight("a request with this idempotency key is still running")
            if row.known_state is not None:
                return row
        raise Unavailable("the idempotency key changes hands too quickly")

    def _all_or_nothing(
        self,
        upload: Upload,
        head: BulkHead,
        inflow: Inflow,
        rows: Iterable[Row | Reject],
        request_hash: Callable[[], bytes],
        *,
        noted: Noted | None,
    ) -> BatchAccepted:
        try:
            inflow.take(rows)
            return self._finish(upload, head, inflow, request_hash(), noted)
        except BaseException:
            # Whatever broke the upload, its key is to be free for the next try. What cannot be
            # removed now is removed when the lease is over.
            with suppress(SQLAlchemyError):
                discard(self._engine, upload.id, alive=True)
            raise

    def _finish(
        self, upload: Upload, head: BulkHead, inflow: Inflow, request_hash: bytes, noted: Noted | None
    ) -> BatchAccepted:
        if inflow.received == 0:
            raise Invalid.of("recipients", "has not a single row")
        accepted = BatchAccepted(
            batch=upload.uuid,
            received=inflow.received,
            invalid=inflow.invalid,
            warnings=inflow.headroom.warnings(datetime.now(UTC)),
        )
        parameters: dict[str, Any] = {
            "batch": upload.id,
            "received": inflow.received,
            "invalid": inflow.invalid,
            "last_line": inflow.last_line,
            "request_hash": _hash(request_hash),
            "answer": orjson.dumps({name: getattr(accepted, name) for name in _KEPT}).decode(),
        }
        with self._engine.begin() as conn:
            # This holds the batch's row, so that nobody gives the upload up while duplicates are sought.
            renew(conn, upload.id)
            duplicate = 0 if head.allow_duplicates else drop_duplicates(conn, upload.id, head.channel)
            parameters["duplicate"] = duplicate
            if run(conn, PACKAGE, "finish_upload", parameters).one_or_none() is None:
                raise Conflict("the upload was given up meanwhile; send it again")
            if noted is not None:
                noted(conn, upload.uuid)
        return accepted


def bulk_plan(caller: Caller, head: BulkHead, catalog: Catalog, settings: Settings) -> Plan:
    """Work out what follows from the shared fields; raises Invalid, Forbidden and NoGateway."""
    the_plan, found = plan(caller, head, catalog, settings, datetime.now(UTC))
    found += json_faults("shared_data", head.shared_data, LONGEST_DATA)
    if found:
        raise Invalid(found)
    require_gateway(the_plan, head.channel)
    return the_plan


def headroom_of(the_plan: Plan, head: BulkHead, catalog: Catalog, settings: Settings) -> Headroom:
    """Make what compares an upload with the limits in force; where none are enforced, nothing is too much."""
    table = catalog.limits() if settings.rate_limiting_enabled else NO_LIMITS
    reserve = settings.rate_reserve_percent / 100
    return Headroom(table, catalog.isps(), the_plan, head, reserve=reserve)


def _head_parameters(caller: Caller, head: BulkHead, the_plan: Plan, key: str | None) -> dict[str, Any]:
    return {
        **shared_columns(caller, head, the_plan),
        "options": orjson.dumps(the_plan.options).decode(),
        "shared_data": orjson.dumps(dict(head.shared_data)).decode(),
        "allow_duplicates": head.allow_duplicates,
        "key": key,
        "lease": LEASE,
        "kept": idempotency.KEPT,
    }


def _replayed(
    known: sa.Row[Any], rows: Iterable[Row | Reject], request_hash: Callable[[], bytes]
) -> BatchAccepted:
    """Read the body to its end, since only then it can be told whether it is the same."""
    if known.known_state == "done":
        for _ in rows:
            pass
    answer = idempotency.replay(
        known.known_state, known.known_hash, known.known_answer, _hash(request_hash())
    )
    return BatchAccepted(
        batch=UUID(answer["batch"]),
        received=answer["received"],
        invalid=answer["invalid"],
        warnings=tuple(answer.get("warnings", ())),
        replayed=True,
    )


def _hash(request_hash: bytes) -> bytes:
    return b"bulk:" + request_hash
