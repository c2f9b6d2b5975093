"""The service that callers use: send, send in bulk, look, cancel, report."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.domain.callers import Caller
from app.domain.vocabulary import EventType
from app.services.catalog import Catalog
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
from app.settings import Settings
from app.wake import Wake


class MessageService:
    """Everything a caller may do about messages. Each call raises Unavailable where PostgreSQL is down.

    A caller sees and changes its own messages; one with the scope `admin` those of all.
    """

    def __init__(self, engine: sa.Engine, catalog: Catalog, wake: Wake, settings: Settings) -> None:
        self._engine = engine
        self._catalog = catalog
        self._wake = wake
        self._settings = settings

    def send(
        self,
        caller: Caller,
        request: SendRequest,
        *,
        idempotency_key: str | None = None,
        request_hash: bytes = b"",
    ) -> Accepted:
        """Accept one message, or give the first answer again where the key was used for the same body.

        `request_hash` is any digest of the request; it is compared where the key comes again.
        Raises Invalid with all faults, Forbidden, NoGateway, InFlight while the first request with
        the key runs, KeyReused where the key came with another digest.
        """
        raise NotImplementedError

    def send_bulk(
        self,
        caller: Caller,
        head: BulkHead,
        rows: Iterable[Row | Reject],
        *,
        idempotency_key: str | None = None,
        request_hash: Callable[[], bytes] = bytes,
    ) -> BatchAccepted:
        """Take in a bulk request row by row; nothing of it is sent before the last row was read.

        `rows` come from `app.services.uploads`. `request_hash` is called once the rows are exhausted,
        so that it may digest the body while it streams. Whatever `rows` raises frees the key, leaves
        nothing, and is raised again. Raises what `send` raises, and Invalid where there is no row.
        """
        raise NotImplementedError

    def get_status(self, caller: Caller, uuid: UUID) -> MessageView:
        """Give a message with its events; raises NotFound."""
        raise NotImplementedError

    def cancel(self, caller: Caller, uuid: UUID) -> MessageView:
        """Cancel a message that is still pending; raises NotFound, and Conflict that names its state."""
        raise NotImplementedError

    def search(
        self, caller: Caller, filters: Filters, *, cursor: str | None = None, limit: int = 50
    ) -> Page[MessageView]:
        """Find messages, newest first, 200 at most; raises Invalid for a cursor that is none of ours."""
        raise NotImplementedError

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
        raise NotImplementedError

    def batch(self, caller: Caller, uuid: UUID) -> BatchView:
        """Say how far a bulk request is; raises NotFound."""
        raise NotImplementedError

    def batch_rejects(
        self, caller: Caller, uuid: UUID, *, cursor: str | None = None, limit: int = 1000
    ) -> Page[RejectView]:
        """List the refused rows by line, 10,000 at most a page; raises NotFound."""
        raise NotImplementedError

    def cancel_batch(self, caller: Caller, uuid: UUID) -> BatchView:
        """Cancel all of a bulk request that is still pending or waiting; again is no error.

        Raises NotFound, and Conflict where it is finished.
        """
        raise NotImplementedError
