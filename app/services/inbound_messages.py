"""Reading what people sent us."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import inbound_messages
from app.domain.callers import Caller
from app.domain.facts import InboundKind
from app.domain.opt_words import Meaning
from app.domain.vocabulary import Channel
from app.services import paging
from app.services.views import Page

MOST = 200

_C = inbound_messages.c


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundView:
    """Something that a person sent us: `sender` wrote to our number or service `recipient`.

    `text` are the words, or the keys pressed. `meaning` is set where it refuses messages (`stop`), asks
    for them again (`start`) or for help. `message` is the message of ours that it answers, where known.
    """

    id: int
    channel: Channel
    kind: InboundKind
    gateway: str
    external_id: str | None
    sender: str
    recipient: str
    text: str | None
    media: tuple[str, ...]
    meaning: Meaning | None
    message: UUID | None
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class InboundFilters:
    """What is searched by; all that is set must hold. `since` counts in, `until` does not."""

    channel: Channel | None = None
    kind: InboundKind | None = None
    sender: str | None = None
    recipient: str | None = None
    message: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class InboundService:
    """Reading what people sent us. Raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def search(
        self, caller: Caller, filters: InboundFilters, *, cursor: str | None = None, limit: int = 50
    ) -> Page[InboundView]:
        """List what was sent, newest first.

        A caller sees the answers to its own messages, and what answers nobody's; one with the scope
        `admin` sees all. Raises Invalid for a cursor that is none of ours.
        """
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = sa.select(inbound_messages).where(*_conditions(filters)).order_by(_C.id.desc())
        if not caller.may("admin"):
            query = query.where(sa.or_(_C.client_id.is_(None), _C.client_id == caller.client_id))
        if before:
            query = query.where(_C.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query.limit(limit + 1)).all()
        return paging.page(rows, limit, _view)


def _conditions(filters: InboundFilters) -> list[sa.ColumnElement[bool]]:
    equal = {
        _C.channel: filters.channel,
        _C.kind: filters.kind,
        _C.sender_address: filters.sender,
        _C.recipient_address: filters.recipient,
        _C.message_uuid: filters.message,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if filters.since is not None:
        conditions.append(_C.received_at >= filters.since)
    if filters.until is not None:
        conditions.append(_C.received_at < filters.until)
    return conditions


def _view(row: sa.Row[Any]) -> InboundView:
    return InboundView(
        id=row.id,
        channel=Channel(row.channel),
        kind=InboundKind(row.kind),
        gateway=row.gateway,
        external_id=row.external_id,
        sender=row.sender_address,
        recipient=row.recipient_address,
        text=row.body,
        media=tuple(row.media),
        meaning=Meaning(row.meaning) if row.meaning else None,
        message=row.message_uuid,
        received_at=row.received_at,
    )
