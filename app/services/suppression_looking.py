"""Looking through the suppression list, for operators: by anything, and why each row is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import delivery_events, message_queue, suppression_list
from app.domain.addresses import suppression_key
from app.domain.vocabulary import Channel, EventType, SuppressionReason
from app.errors import Invalid, NotFound
from app.services import bounded, paging
from app.services.audit import Who, record
from app.services.suppression_drafts import compared

MOST = 200
MOST_EXPORTED = 100_000

_CHUNK = 2_000
_C = suppression_list.c
_M, _E = message_queue.c, delivery_events.c
# What becomes of a message that suppresses its recipient.
_TELLING = (
    EventType.BOUNCED, EventType.COMPLAINED, EventType.UNSUBSCRIBED, EventType.FAILED, EventType.REPLIED,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionFilters:
    """What rows are looked for by; all that is set must hold. Addresses and senders are whole ones."""

    address: str | None = None
    channel: str | None = None
    reason: SuppressionReason | None = None
    community_id: int | None = None
    category: str | None = None
    sender: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Why a row is there: the message it came of, and the events of that message that tell."""

    message: UUID | None
    events: Sequence[sa.RowMapping]


def look(
    engine: sa.Engine,
    wanted: SuppressionFilters,
    region: str | None,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[sa.Row[Any]], str | None]:
    """Find one page, newest first, and the cursor of the look behind it.

    Where nothing leads to what is wanted, a look is bounded and may find less than a page. Raises Invalid
    for a cursor that is none of ours, and Unavailable.
    """
    before = paging.position(cursor, int)
    with unavailable_when_down(), engine.connect() as conn:
        rows, behind = _page(conn, wanted, region, before[0] if before else None, paging.within(limit, MOST))
    return rows, None if behind is None else paging.cursor(behind)


def row_of(engine: sa.Engine, suppression_id: int) -> sa.Row[Any]:
    """Give one row with all its columns; raises NotFound."""
    with unavailable_when_down(), engine.connect() as conn:
        row = conn.execute(sa.select(suppression_list).where(_C.id == suppression_id)).one_or_none()
    if row is None:
        raise NotFound("there is no such suppression; it may have been released, which the audit log knows")
    return row


def origin_of(engine: sa.Engine, row: sa.Row[Any]) -> Origin:
    """Tell what a row came of, as far as that is still known."""
    if row.message_id is None:
        return Origin(message=None, events=())
    of_message = sa.select(_M.uuid, _M.priority).where(_M.id == row.message_id)
    with unavailable_when_down(), engine.connect() as conn:
        message = conn.execute(of_message).one_or_none()
        if message is None:
            return Origin(message=None, events=())
        told = (
            sa.select(_E.event_type, _E.occurred_at, _E.source, _E.gateway, _E.code, _E.detail)
            .where(
                _E.message_id == row.message_id,
                _E.priority == message.priority,
                _E.event_type.in_([each.value for each in _TELLING]),
            )
            .order_by(_E.id)
        )
        return Origin(message=message.uuid, events=conn.execute(told).mappings().all())


def of_message(engine: sa.Engine, uuid: UUID) -> Sequence[sa.RowMapping]:
    """List what keeps a message's recipient from being sent to now, newest first, as far as MOST rows.

    Each is id, reason, source, community_id, category, sender, created_at and expires_at, and tells with
    `is_of_this` whether it came of this very message. Nothing for a message that is not there.
    """
    asked = sa.select(_M.id, _M.channel, _M.recipient_address).where(_M.uuid == uuid)
    with unavailable_when_down(), engine.connect() as conn:
        message = conn.execute(asked).one_or_none()
        if message is None:
            return ()
        key = suppression_key(Channel(message.channel), message.recipient_address)
        shown = (_C.id, _C.reason, _C.source, _C.community_id, _C.category, _C.sender, _C.created_at)
        is_of_this = (_C.message_id == message.id).is_(sa.true()).label("is_of_this")
        query = sa.select(*shown, _C.expires_at, is_of_this).where(
            _C.channel.in_([message.channel, "all"]),
            _C.address == key,
            sa.or_(_C.expires_at.is_(None), _C.expires_at > sa.func.now()),
        )
        return conn.execute(query.order_by(_C.id.desc()).limit(MOST)).mappings().all()


def note_opened(engine: sa.Engine, who: Who, suppression_id: int) -> None:
    """Write down that somebody looked at an address."""
    with unavailable_when_down(), engine.begin() as conn:
        record(conn, who, "suppression.open", f"suppression:{suppression_id}")


def export(
    engine: sa.Engine, who: Who, wanted: SuppressionFilters, region: str | None
) -> Iterator[sa.Row[Any]]:
    """Give what fits, newest first, MOST_EXPORTED rows at most; who took it is written down first."""
    said = {name: _plain(name, wanted) for name in SuppressionFilters.__dataclass_fields__}
    note_exported(engine, who, {name: value for name, value in said.items() if value is not None})
    return _exported(engine, wanted, region)


def note_exported(engine: sa.Engine, who: Who, filters: Mapping[str, Any]) -> None:
    """Write down that somebody took the list along, or what fits some filters."""
    with unavailable_when_down(), engine.begin() as conn:
        record(conn, who, "suppression.export", "suppressions", after={"filters": dict(filters)})


def _exported(engine: sa.Engine, wanted: SuppressionFilters, region: str | None) -> Iterator[sa.Row[Any]]:
    before, left, more = None, MOST_EXPORTED, True
    while more and left > 0:
        with unavailable_when_down(), engine.connect() as conn:
            rows, before = _page(conn, wanted, region, before, min(_CHUNK, left))
        yield from rows
        left -= len(rows)
        more = before is not None


def _plain(name: str, wanted: SuppressionFilters) -> Any:
    # The log is never erased, so no address of a recipient stands in it.
    value = getattr(wanted, name)
    return "one" if name == "address" and value is not None else value


def _page(
    conn: sa.Connection, wanted: SuppressionFilters, region: str | None, before: int | None, limit: int
) -> tuple[list[sa.Row[Any]], int | None]:
    query = sa.select(suppression_list).where(*_conditions(wanted, region))
    return bounded.page_of(conn, query, _C.id, before=before, limit=limit, led=wanted.address is not None)


def _conditions(wanted: SuppressionFilters, region: str | None) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.address is not None:
        yield _C.address.in_(_spellings(wanted.channel, wanted.address, region))
    if wanted.channel is not None:
        yield _C.channel == wanted.channel
    elif wanted.address is not None:
        # The index on addresses is led by the channel.
        yield _C.channel.in_([*Channel, "all"])
    if wanted.sender is not None:
        yield _C.sender.in_(_spellings(wanted.channel, wanted.sender, region))
    equal = {_C.reason: wanted.reason, _C.community_id: wanted.community_id, _C.category: wanted.category}
    for column, value in equal.items():
        if value is not None:
            yield column == value


def _spellings(channel: str | None, address: str, region: str | None) -> list[str]:
    written = address.strip()
    try:
        return [written, compared("push" if channel == "push" else "all", written, region)]
    except Invalid:
        # A token searched without its channel is no address, and stands in the list as it is.
        return [written]
