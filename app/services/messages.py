"""The service that callers use: send, send in bulk, look, cancel, report."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, EventType, Priority, Status
from app.services.accepting import accept
from app.services.batches import batch_rejects_page, batch_view, cancel_batch
from app.services.bulk import BulkIntake, Noted
from app.services.cancelling import cancel
from app.services.catalog import Catalog
from app.services.device_sending import accept_for_devices
from app.services.message_metrics import count_accepted, count_queued
from app.services.previewing import Preview, preview
from app.services.reading import get_status, search
from app.services.reporting import report_event
from app.services.requests import BulkHead, Filters, Reject, Row, SendRequest
from app.services.views import (
    Accepted,
    BatchAccepted,
    BatchView,
    EventReported,
    MessageView,
    Page,
    RejectView,
)
from app.services.way import Way
from app.settings import Settings
from app.wake import Wake


class MessageService:
    """Everything a caller may do about messages. Each call raises Unavailable where PostgreSQL is down.

    A caller sees and changes its own messages; one with the scope `admin` those of all.
    """

    def __init__(self, engine: sa.Engine, catalog: Catalog, wake: Wake, settings: Settings, way: Way) -> None:
        self._engine = engine
        self._committing = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._catalog = catalog
        self._wake = wake
        self._settings = settings
        self._way = way
        self._intake = BulkIntake(engine, catalog, wake, settings, way)

    def send(
        self,
        caller: Caller,
        request: SendRequest,
        *,
        idempotency_key: str | None = None,
        request_hash: bytes = b"",
    ) -> Accepted:
        """Accept one message, or give the first answer again where the key was used for the same body.

        A push without an address becomes one message for each device in use of its recipient, all or none.
        `request_hash` is any digest of the request; it is compared where the key comes again.
        Raises Invalid with all faults, Forbidden, NoGateway, InFlight while the first request with
        the key runs, KeyReused where the key came with another digest.
        """
        is_emergency = (request.priority or request.message_type.priority) is Priority.P0
        if is_emergency and caller.may("messages:p0"):
            self._way.take()
        by_device = request.channel is Channel.PUSH and request.recipient_address is None
        accepted = (accept_for_devices if by_device else accept)(
            self._engine,
            self._catalog,
            self._settings,
            caller,
            request,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
        )
        for each in accepted.messages or (accepted,):
            if not accepted.replayed:
                count_accepted(each.priority, request.channel, 1, bulk=False)
                count_queued(each.priority, request.channel, [(each.status, 1)])
            if each.status is Status.PENDING and each.message is not None:
                self._wake.accepted(each.priority, each.message)
        return accepted

    def preview(self, caller: Caller, request: SendRequest) -> Preview:
        """Give a message as it would be sent, and its cost; raises what `send` does. Nothing is written."""
        with unavailable_when_down():
            return preview(self._catalog, self._settings, caller, request)

    def send_bulk(
        self,
        caller: Caller,
        head: BulkHead,
        rows: Iterable[Row | Reject],
        *,
        idempotency_key: str | None = None,
        request_hash: Callable[[], bytes] = bytes,
        noted: Noted | None = None,
    ) -> BatchAccepted:
        """Take in a bulk request row by row; nothing of it is sent before the last row was read.

        `rows` come from `app.services.uploads`. `request_hash` is called once the rows are exhausted,
        so that it may digest the body while it streams. `noted` is called within the transaction that
        accepts, for whoever sends by hand. Whatever `rows` raises frees the key, leaves
        nothing, and is raised again. Raises what `send` raises, and Invalid where there is no row.
        """
        return self._intake.take_in(
            caller, head, rows, idempotency_key=idempotency_key, request_hash=request_hash, noted=noted
        )

    def get_status(self, caller: Caller, uuid: UUID) -> MessageView:
        """Give a message with its events; raises NotFound."""
        return get_status(self._engine, caller, uuid)

    def cancel(self, caller: Caller, uuid: UUID) -> MessageView:
        """Cancel a message that is still pending; raises NotFound, and Conflict that names its state."""
        return cancel(self._engine, caller, uuid)

    def search(
        self, caller: Caller, filters: Filters, *, cursor: str | None = None, limit: int = 50
    ) -> Page[MessageView]:
        """Find messages, newest first, 200 at most; raises Invalid for a cursor that is none of ours."""
        region = self._settings.phone_region
        return search(self._engine, caller, filters, region, cursor=cursor, limit=limit)

    def report_event(
        self,
        caller: Caller,
        uuid: UUID,
        event_type: EventType,
        data: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        request_hash: bytes = b"",
    ) -> EventReported:
        """Add what the caller knows about a message: converted, replied or confirmed.

        Counts once for each idempotency key. Raises NotFound, Invalid, InFlight, KeyReused.
        """
        return report_event(
            self._committing,
            caller,
            uuid,
            event_type,
            data,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
        )

    def batch(self, caller: Caller, uuid: UUID) -> BatchView:
        """Say how far a bulk request is; raises NotFound."""
        return batch_view(self._engine, caller, uuid)

    def batch_rejects(
        self, caller: Caller, uuid: UUID, *, cursor: str | None = None, limit: int = 1000
    ) -> Page[RejectView]:
        """List the refused rows by line, 10,000 at most a page; raises NotFound."""
        return batch_rejects_page(self._engine, caller, uuid, cursor=cursor, limit=limit)

    def cancel_batch(self, caller: Caller, uuid: UUID) -> BatchView:
        """Cancel all of a bulk request that is still pending or waiting; again is no error.

        Raises NotFound, and Conflict where it is finished.
        """
        cancel_batch(self._engine, caller, uuid)
        return batch_view(self._engine, caller, uuid)
