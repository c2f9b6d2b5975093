"""Looking through all messages, for operators: by anything, in bounded time however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import api_clients, delivery_events, message_queue
from app.domain.vocabulary import Status
from app.services import paging
from app.services.reading import conditions
from app.services.requests import Filters

# So many messages are looked at for one page where no index leads to what is wanted.
LOOK = 20_000
MOST = 200

_M = message_queue.c
_SHOWN = [
    _M[name]
    for name in (
        "id", "uuid", "priority", "message_type", "channel", "client_id", "recipient_address", "gateway",
        "status", "attempts", "possible_duplicate", "last_error", "last_error_class",
        "created_at", "scheduled_for",
    )
]  # fmt: skip
# These have an index of (status, id); of all others there are many, or they are soon something else.
_RESTING = frozenset({Status.FAILED, Status.HELD, Status.EXPIRED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is looked for; all that is set must hold. `client` is a client's name."""

    filters: Filters = field(default_factory=Filters)
    uuid: UUID | None = None
    client: str | None = None
    gateway: str | None = None
    error_class: str | None = None

    @property
    def is_led(self) -> bool:
        """Tell whether an index leads to it, so that all of it is found at once."""
        known = self.filters
        led = (known.recipient_address, known.source_type, known.batch, known.external_id, self.uuid)
        return any(each is not None for each in led) or known.status in _RESTING


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Some messages, newest first. `behind` is the cursor of the look behind this one, None at the end.

    `looked_back_to` says how far a bounded look came before the page was full.
    """

    rows: Sequence[sa.Row[Any]]
    behind: str | None
    looked_back_to: datetime | None = None


def look(
    engine: sa.Engine, wanted: Wanted, region: str | None, *, cursor: str | None = None, limit: int = 50
) -> Found:
    """Find one page; raises Invalid for a cursor that is none of ours, and Unavailable."""
    limit = paging.within(limit, MOST)
    before = paging.position(cursor, int)
    with unavailable_when_down(), engine.connect() as conn:
        edge = None if wanted.is_led else _edge(conn, before[0] if before else None)
        query = sa.select(*_SHOWN).where(*_conditions(wanted, region))
        if before:
            query = query.where(_M.id < before[0])
        if edge is not None:
            query = query.where(_M.id >= edge.id)
        rows = conn.execute(query.order_by(_M.id.desc()).limit(limit + 1)).all()
    if len(rows) > limit:
        return Found(rows=rows[:limit], behind=paging.cursor(rows[limit - 1].id))
    if edge is None:
        return Found(rows=rows, behind=None)
    return Found(rows=rows, behind=paging.cursor(edge.id), looked_back_to=edge.created_at)


def raw_events(engine: sa.Engine, uuid: UUID) -> Sequence[sa.RowMapping]:
    """Give a message's events with all their columns, in order."""
    query = (
        sa.select(delivery_events)
        .join(
            message_queue,
            sa.and_(_M.id == delivery_events.c.message_id, _M.priority == delivery_events.c.priority),
        )
        .where(_M.uuid == uuid)
        .order_by(delivery_events.c.id)
    )
    with unavailable_when_down(), engine.connect() as conn:
        return conn.execute(query).mappings().all()


def _edge(conn: sa.Connection, before: int | None) -> sa.Row[int, datetime] | None:
    """Give the message at the far end of what one look takes in; None where that is the table's end."""
    newest = sa.select(_M.id).order_by(_M.id.desc()).limit(LOOK)
    if before is not None:
        newest = newest.where(_M.id < before)
    looked = newest.subquery()
    first, count = conn.execute(sa.select(sa.func.min(looked.c.id), sa.func.count())).one()
    if count < LOOK:
        return None
    return conn.execute(sa.select(_M.id, _M.created_at).where(_M.id == first)).one_or_none()


def _conditions(wanted: Wanted, region: str | None) -> list[sa.ColumnElement[bool]]:
    found = conditions(wanted.filters, region)
    if wanted.uuid is not None:
        found.append(_M.uuid == wanted.uuid)
    if wanted.client is not None:
        of_name = sa.select(api_clients.c.id).where(api_clients.c.name == wanted.client)
        found.append(_M.client_id == of_name.scalar_subquery())
    if wanted.gateway is not None:
        found.append(_M.gateway == wanted.gateway)
    if wanted.error_class is not None:
        found.append(_M.last_error_class == wanted.error_class)
    return found
