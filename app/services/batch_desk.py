"""Batches as operators see them: everybody's, whose each is, ended by hand, and sent by hand."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients, message_batches
from app.domain.callers import Caller
from app.errors import NotFound
from app.services import bounded, paging
from app.services.audit import Who, record
from app.services.batches import MOST_REJECTS, batch_rejects_page, batch_view, cancel_batch
from app.services.bulk_trial import BulkTrial, try_bulk
from app.services.catalog import Catalog
from app.services.clients import client_named, insert_client
from app.services.messages import MessageService
from app.services.requests import BulkHead, Reject, Row
from app.services.views import BatchAccepted, BatchView, RejectView
from app.settings import Settings

STATES = ("accepted", "expanding", "expanded", "finished", "cancelled")
CLIENT = "console"
MOST = 200

_B = message_batches.c
# Whoever runs the service sees everybody's batches.
_OPERATOR = Caller(client_id=0, name=CLIENT, scopes=frozenset({"admin"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchFilters:
    """What batches are looked for by; all that is set must hold. `client` is a client's name."""

    state: str | None = None
    client: str | None = None


class BatchDesk:
    """Looking at batches and changing them. Each call raises Unavailable where PostgreSQL is down."""

    def __init__(
        self, engine: sa.Engine, catalog: Catalog, settings: Settings, messages: MessageService
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._settings = settings
        self._messages = messages

    def look(
        self, wanted: BatchFilters, *, cursor: str | None = None, limit: int = 50
    ) -> tuple[Sequence[sa.Row[Any]], str | None]:
        """Find one page, newest first, and the cursor of the look behind it; counts may be seconds old.

        Where nothing leads to what is wanted, a look is bounded and may find less than a page. Raises
        Invalid for a cursor that is none of ours.
        """
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = _with_clients().where(*_conditions(wanted))
        with unavailable_when_down(), self._engine.connect() as conn:
            rows, behind = bounded.page_of(
                conn, query, _B.id, before=before[0] if before else None, limit=limit, led=False
            )
        return rows, None if behind is None else paging.cursor(behind)

    def row(self, uuid: UUID) -> sa.Row[Any]:
        """Give a batch's row with its client's name; raises NotFound."""
        query = _with_clients().where(_B.uuid == uuid, _B.state.in_(STATES))
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(query).one_or_none()
        if row is None:
            raise NotFound("there is no such batch")
        return row

    def names(self, uuids: Sequence[str]) -> Mapping[str, str]:
        """Name some batches as people know them, by what they say; those that there are not are left out."""
        if not uuids:
            return {}
        said = sa.func.coalesce(_B.template, _B.subject, _B.message_type)
        query = sa.select(_B.uuid, said).where(_B.uuid.in_([UUID(each) for each in uuids]))
        with unavailable_when_down(), self._engine.connect() as conn:
            return {str(uuid): name for uuid, name in conn.execute(query)}

    def progress(self, uuid: UUID) -> BatchView:
        """Tell how far a batch is; raises NotFound."""
        return batch_view(self._engine, _OPERATOR, uuid)

    def rejects(self, uuid: UUID) -> Iterator[RejectView]:
        """Give all refused rows by line; raises NotFound."""
        cursor = None
        while True:
            page = batch_rejects_page(self._engine, _OPERATOR, uuid, cursor=cursor, limit=MOST_REJECTS)
            yield from page.items
            cursor = page.next
            if cursor is None:
                return

    def cancel(self, who: Who, uuid: UUID, *, why: str) -> BatchView:
        """Cancel what was not sent yet; raises NotFound, and Conflict where nothing is left."""
        cancel_batch(self._engine, _OPERATOR, uuid, source="console", who=who, why=why)
        return self.progress(uuid)

    def trial(self, head: BulkHead, rows: Iterable[Row | Reject]) -> BulkTrial:
        """Find out what would become of an upload; raises what MessageService.send_bulk does."""
        return try_bulk(
            self._engine, self._catalog, self._settings, caller=self._caller, head=head, rows=rows
        )

    def send(
        self,
        who: Who,
        head: BulkHead,
        rows: Iterable[Row | Reject],
        *,
        key: str,
        digest: Callable[[], bytes],
        note: Mapping[str, Any],
        why: str,
    ) -> BatchAccepted:
        """Send to everybody in an upload, once for each `key`; `note` goes into the audit log with it.

        Raises what MessageService.send_bulk does.
        """

        def noted(conn: sa.Connection, uuid: UUID) -> None:
            record(conn, who, "batch.send", f"batch:{uuid}", after=note, why=why)

        return self._messages.send_bulk(
            self._caller, head, rows, idempotency_key=key, request_hash=digest, noted=noted
        )

    @cached_property
    def _caller(self) -> Caller:
        with unavailable_when_down(), self._engine.begin() as conn:
            insert_client(conn, CLIENT, "What operators send from the console")
            client = client_named(conn, CLIENT)
        scopes = frozenset({"messages:send", "messages:p0"})
        return Caller(client_id=client.id, name=CLIENT, scopes=scopes)


def _with_clients() -> sa.Select[Any]:
    client = api_clients.c
    joined = message_batches.join(api_clients, client.id == _B.client_id)
    return sa.select(message_batches, client.name.label("client")).select_from(joined)


def _conditions(wanted: BatchFilters) -> Iterator[sa.ColumnElement[bool]]:
    yield _B.state.in_(STATES) if wanted.state is None else _B.state == wanted.state
    if wanted.client is not None:
        yield api_clients.c.name == wanted.client
