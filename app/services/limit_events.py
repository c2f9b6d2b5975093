"""When limits were used up (RateLimitExceeded), and when gateways wanted it slower."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import limit_events
from app.services import paging
from app.services.views import Page

MOST = 200
_KEPT = timedelta(days=30)
_C = limit_events.c


class LimitEventKind(StrEnum):
    """What happened."""

    EXCEEDED = "exceeded"
    PACE_LOWERED = "pace_lowered"


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitEvent:
    """One event; `detail` is the window that was used up, or the gateway's words."""

    id: int
    at: datetime
    kind: LimitEventKind
    limit_type: str
    limit_key: str
    gateway: str | None
    detail: str


def write_event(
    conn: sa.Connection,
    kind: LimitEventKind,
    limit_type: str,
    limit_key: str,
    *,
    gateway: str | None = None,
    detail: str,
) -> None:
    """Keep an event."""
    values = {
        "kind": kind.value,
        "limit_type": limit_type,
        "limit_key": limit_key,
        "gateway": gateway,
        "detail": detail,
    }
    conn.execute(sa.insert(limit_events).values(values))


def events(engine: sa.Engine, *, cursor: str | None = None, limit: int = 50) -> Page[LimitEvent]:
    """List events, newest first. Raises Invalid for a cursor that is none of ours, and Unavailable."""
    limit = paging.within(limit, MOST)
    before = paging.position(cursor, int)
    query = sa.select(limit_events).order_by(_C.id.desc()).limit(limit + 1)
    if before:
        query = query.where(_C.id < before[0])
    with unavailable_when_down(), engine.connect() as conn:
        rows = conn.execute(query).all()
    return paging.page(rows, limit, _view)


def _view(row: sa.Row[Any]) -> LimitEvent:
    shown = {name: getattr(row, name) for name in LimitEvent.__slots__}
    return LimitEvent(**{**shown, "kind": LimitEventKind(row.kind)})


def forget_events(conn: sa.Connection) -> None:
    """Remove what is older than a month."""
    conn.execute(sa.delete(limit_events).where(_C.at < sa.func.now() - _KEPT))
