"""Bulk requests after they were accepted: progress, refused rows, cancelling."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import batch_deltas, batch_rejects, controls, message_batches
from app.domain.callers import Caller
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, MessageType, Priority, Status
from app.errors import Conflict, NotFound
from app.queue import PACKAGE
from app.services import paging
from app.services.audit import Who, record
from app.services.controls.views import Procedure
from app.services.views import BatchView, Page, RejectView

MOST_REJECTS = 10_000
_FIRST_REJECTS = 20
_SLICE = 5_000

_C = controls.c
_VISIBLE = ("accepted", "expanding", "expanded", "finished", "cancelled")
_OPEN = (Status.PENDING, Status.PROCESSING, Status.HELD)
_COPIED = (
    "uuid", "state", "category", "source_type", "source_id", "template", "received", "queued", "invalid",
    "duplicate", "scheduled_for", "created_at", "accepted_at", "finished_at",
)  # fmt: skip


def batch_view(engine: sa.Engine, caller: Caller, uuid: UUID) -> BatchView:
    """Say how far a bulk request is; see MessageService."""
    # One snapshot, or a change folded meanwhile would be counted twice or not at all.
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    with unavailable_when_down(), repeatable.connect() as conn:
        row = _row(conn, caller, uuid)
        changes = _unfolded(conn, row.id)
        rejects = _rejects(conn, row.id, 0, _FIRST_REJECTS)
        now = datetime.now(UTC)
        paused = _paused(conn, row, now)
    counts = {status: getattr(row, status) + changes.get(status, 0) for status in Status}
    return _view(row, counts, rejects, now, paused)


def batch_rejects_page(
    engine: sa.Engine, caller: Caller, uuid: UUID, *, cursor: str | None, limit: int
) -> Page[RejectView]:
    """List refused rows by line; see MessageService."""
    limit = paging.within(limit, MOST_REJECTS)
    after = paging.position(cursor, int)
    with unavailable_when_down(), engine.connect() as conn:
        batch = _row(conn, caller, uuid)
        found = _rejects(conn, batch.id, after[0] if after else 0, limit + 1)
    following = paging.cursor(found[limit - 1].line) if len(found) > limit else None
    return Page(items=found[:limit], next=following)


def cancel_batch(
    engine: sa.Engine,
    caller: Caller,
    uuid: UUID,
    *,
    source: str = "api",
    who: Who | None = None,
    why: str | None = None,
) -> None:
    """Cancel what is still pending or waiting; see MessageService. Cut short, it may be repeated.

    `who` is somebody who does it by hand, which the audit log keeps.
    """
    with unavailable_when_down():
        with engine.begin() as conn:
            batch = _row(conn, caller, uuid)
            if run(conn, PACKAGE, "cancel_batch", {"batch": batch.id}).one_or_none() is None:
                raise Conflict(f"the batch is {batch.state}; nothing of it is left to cancel")
            if who is not None:
                record(conn, who, "batch.cancel", f"batch:{uuid}", why=why)
        _cancel_messages(engine, batch.id, source)
        _cancel_staged(engine, batch.id)


def _cancel_messages(engine: sa.Engine, batch: int, source: str) -> None:
    table = message_batches.c
    with engine.connect() as conn:
        row = conn.execute(
            sa.select(table.priority, table.first_id, table.last_id).where(table.id == batch)
        ).one()
    after = None if row.first_id is None else row.first_id - 1
    while after is not None:
        parameters = {
            "priority": row.priority, "batch": batch, "after": after, "last": row.last_id, "size": _SLICE,
            "source": source,
        }  # fmt: skip
        with engine.begin() as conn:
            after = run(conn, PACKAGE, "cancel_slice", parameters).one().last


def _cancel_staged(engine: sa.Engine, batch: int) -> None:
    removed = _SLICE
    while removed == _SLICE:
        with engine.begin() as conn:
            removed = run(conn, PACKAGE, "cancel_staged", {"batch": batch, "size": _SLICE}).one().removed


def _row(conn: sa.Connection, caller: Caller, uuid: UUID) -> sa.Row[Any]:
    table = message_batches.c
    query = sa.select(message_batches).where(table.uuid == uuid, table.state.in_(_VISIBLE))
    if not caller.may("admin"):
        query = query.where(table.client_id == caller.client_id)
    row = conn.execute(query).one_or_none()
    if row is None:
        raise NotFound("there is no such batch")
    return row


def _unfolded(conn: sa.Connection, batch: int) -> dict[str, int]:
    table = batch_deltas.c
    query = (
        sa.select(table.status, sa.cast(sa.func.sum(table.change), sa.BigInteger).label("change"))
        .where(table.batch_id == batch)
        .group_by(table.status)
    )
    return {row.status: row.change for row in conn.execute(query)}


def _rejects(conn: sa.Connection, batch: int, after: int, limit: int) -> tuple[RejectView, ...]:
    table = batch_rejects.c
    query = (
        sa.select(table.line, table.reason)
        .where(table.batch_id == batch, table.line > after)
        .order_by(table.line)
        .limit(limit)
    )
    return tuple(RejectView(line=row.line, reason=row.reason) for row in conn.execute(query))


def _view(
    row: sa.Row[Any],
    counts: dict[Status, int],
    rejects: tuple[RejectView, ...],
    now: datetime,
    paused: timedelta,
) -> BatchView:
    waiting = max(row.received - row.invalid - row.duplicate - sum(counts.values()), 0)
    remaining = waiting + sum(counts[status] for status in _OPEN)
    total = row.received - row.invalid - row.duplicate
    gone = total - remaining
    seconds = ((row.finished_at or now) - _began(row) - paused).total_seconds()
    rate = gone / seconds if seconds > 0 else 0.0
    return BatchView(
        **_copied(row, counts),
        channel=Channel(row.channel),
        priority=Priority(row.priority),
        message_type=MessageType(row.message_type),
        waiting=waiting,
        rate=rate,
        percentage=100.0 * gone / total if total else 100.0,
        expected_end=now + timedelta(seconds=remaining / rate) if rate and remaining else row.finished_at,
        rejects=rejects,
    )


def _began(row: sa.Row[Any]) -> datetime:
    began: datetime = max(row.accepted_at, row.scheduled_for or row.accepted_at)
    return began


def _paused(conn: sa.Connection, row: sa.Row[Any], now: datetime) -> timedelta:
    """Add up how long a batch was stopped since it began, by itself or with everything; never twice."""
    first, last = _began(row), row.finished_at or now
    begin = sa.func.greatest(_C.from_at, first)
    end = sa.func.least(_C.lifted_at, _C.until_at, last)
    mine = sa.and_(_C.scope == StopScope.BATCH, _C.scope_key == str(row.id))
    query = sa.select(sa.func.range_agg(sa.func.tstzrange(begin, end))).where(
        _C.procedure == Procedure.STOP, mine | (_C.scope == StopScope.ALL), begin < end
    )
    spans = conn.scalar(query) or ()
    return sum((span.upper - span.lower for span in spans), timedelta())


def _copied(row: sa.Row[Any], counts: dict[Status, int]) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in _COPIED}
    return {**columns, **{status.value: counts[status] for status in Status}}
