"""Looking at messages: one with its history, or a page of those that match."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from app.db.engine import unavailable_when_down
from app.db.tables import delivery_events, message_batches, message_queue
from app.domain.addresses import canonical
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, EventType, MessageType, Priority, Status
from app.errors import Invalid, NotFound
from app.services import paging
from app.services.requests import Filters
from app.services.views import EventView, MessageView, Page

MOST = 200
# Rows get their id and uuid while their transaction runs, their created_at when it began.
_LONGEST_TRANSACTION = timedelta(seconds=60)

_M, _B = message_queue.c, message_batches.c
_WITH_BATCH = message_queue.outerjoin(message_batches, _B.id == _M.batch_id)
_HIDDEN = {"id", "batch_id", "options", "locked_by", "locked_at", "tries", "tried", "gateway_pinned"}
# What the messages of a batch share is kept once, with the batch.
_SHARED = {"subject", "template", "template_version", "locale", "body_text", "body_html"}
_OPTIONS = sa.func.coalesce(_M.options, _B.options, type_=JSONB)
_COLUMNS = [
    *(column for column in _M if column.name not in _HIDDEN | _SHARED),
    *(sa.func.coalesce(_M[name], _B[name]).label(name) for name in sorted(_SHARED)),
    _M.id.label("internal_id"),
    _B.uuid.label("batch"),
    _OPTIONS["metadata"].label("metadata"),
    _OPTIONS["sender"].astext.label("sender"),
]
_OF_EVENT = ("attempt", "gateway", "outcome", "code", "detail", "external_id", "external_event_id")


def get_status(engine: sa.Engine, caller: Caller, uuid: UUID) -> MessageView:
    """Give one message with its events; see MessageService."""
    with unavailable_when_down(), engine.connect() as conn:
        return read(conn, caller, uuid)


def read(conn: sa.Connection, caller: Caller, uuid: UUID) -> MessageView:
    """Read one message with its events as this transaction sees it; raises NotFound."""
    row = conn.execute(
        sa.select(*_COLUMNS).select_from(_WITH_BATCH).where(_M.uuid == uuid, mine(caller))
    ).one_or_none()
    if row is None:
        raise NotFound("there is no such message")
    return _view(row, _events(conn, row.internal_id, Priority(row.priority)))


def mine(caller: Caller) -> sa.ColumnElement[bool]:
    """Say whose messages a caller may see: its own, or all as an admin."""
    return sa.true() if caller.may("admin") else _M.client_id == caller.client_id


def search(
    engine: sa.Engine,
    caller: Caller,
    filters: Filters,
    region: str | None,
    *,
    cursor: str | None,
    limit: int,
) -> Page[MessageView]:
    """Find messages, newest first; see MessageService."""
    limit = paging.within(limit, MOST)
    before = paging.position(cursor, int)
    query = sa.select(*_COLUMNS).select_from(_WITH_BATCH).where(mine(caller), *conditions(filters, region))
    if before:
        query = query.where(_M.id < before[0])
    with unavailable_when_down(), engine.connect() as conn:
        rows = conn.execute(query.order_by(_M.id.desc()).limit(limit + 1)).all()
    return paging.page(rows, limit, _view, key="internal_id")


def conditions(filters: Filters, region: str | None) -> list[sa.ColumnElement[bool]]:
    """Say what the rows of message_queue must be like that these filters let through."""
    plain = {
        _M.source_type: filters.source_type,
        _M.source_id: filters.source_id,
        _M.channel: filters.channel,
        _M.status: filters.status,
        _M.priority: filters.priority,
        _M.external_id: filters.external_id,
    }
    found = [column == value for column, value in plain.items() if value is not None]
    if filters.recipient_address is not None:
        found += _to(_spellings(filters, region))
    if filters.batch is not None:
        found += _of_batch(filters.batch)
    return found + _in_time(filters.since, filters.until)


def _to(spellings: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    """Name recipients; mail finds its way whatever is written in capitals, a device's token does not."""
    wanted = [sa.func.lower(spelling) for spelling in spellings]
    exact = sa.or_(_M.channel == Channel.EMAIL, _M.recipient_address.in_(spellings))
    return [sa.func.lower(_M.recipient_address).in_(wanted), exact]


def _of_batch(batch: UUID) -> list[sa.ColumnElement[bool]]:
    """Bound the ids too: a batch's messages stand together, wherever the table's end is by now."""
    wanted = message_batches.alias("wanted")

    def of(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
        return sa.select(column).where(wanted.c.uuid == batch).scalar_subquery()

    return [
        _M.batch_id == of(wanted.c.id),
        _M.id >= of(wanted.c.first_id),
        _M.id <= of(wanted.c.last_id),
    ]


def _in_time(since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    """Bound created_at, and by way of the uuids, which begin with the time, the ids that are looked at."""
    found: list[sa.ColumnElement[bool]] = []
    if since is not None:
        first = sa.select(_M.id).where(_M.uuid >= _earliest_uuid(since)).order_by(_M.uuid).limit(1)
        found += [_M.created_at >= since, _M.id >= sa.func.coalesce(first.scalar_subquery(), 0) - MOST]
    if until is not None:
        late = _earliest_uuid(until + _LONGEST_TRANSACTION)
        last = sa.select(_M.id).where(_M.uuid < late).order_by(_M.uuid.desc()).limit(1)
        found += [_M.created_at < until, _M.id <= sa.func.coalesce(last.scalar_subquery(), 0) + MOST]
    return found


def _earliest_uuid(time: datetime) -> UUID:
    milliseconds = max(int(time.timestamp() * 1000), 0)
    return UUID(int=(milliseconds << 80) & (2**128 - 1))


def _spellings(filters: Filters, region: str | None) -> list[str]:
    """Give the forms under which an address may be kept."""
    channel = filters.channel or (Channel.EMAIL if "@" in str(filters.recipient_address) else None)
    address = str(filters.recipient_address).strip()
    if channel is None or channel is Channel.PUSH:
        return [address]
    try:
        return [address, canonical(channel, address, region=region)]
    except Invalid:
        return [address]


def _events(conn: sa.Connection, message_id: int, priority: Priority) -> tuple[EventView, ...]:
    table = delivery_events.c
    query = (
        sa.select(delivery_events)
        .where(table.message_id == message_id, table.priority == priority)
        .order_by(table.id)
    )
    return tuple(
        EventView(
            event_type=EventType(row["event_type"]),
            occurred_at=row["occurred_at"],
            source=row["source"],
            data=_event_data(row),
        )
        for row in conn.execute(query).mappings()
    )


def _event_data(row: sa.RowMapping) -> dict[str, Any]:
    known = {name: row[name] for name in _OF_EVENT if row[name] is not None}
    return {**known, **(row["data"] or {})}


def _view(row: sa.Row[Any], events: Sequence[EventView] = ()) -> MessageView:
    values = {name: value for name, value in row._mapping.items() if name != "internal_id"}  # noqa: SLF001 - SQLAlchemy's public way to a row's names.
    return MessageView(
        **values
        | {
            "priority": Priority(row.priority),
            "message_type": MessageType(row.message_type),
            "channel": Channel(row.channel),
            "status": Status(row.status),
            "metadata": row.metadata or {},
            "events": tuple(events),
        }
    )
