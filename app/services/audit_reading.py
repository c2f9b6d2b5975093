"""Reading the log of who changed what, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import audit_log
from app.services import paging
from app.services.views import Page

MOST = 200
# What is exported in one piece; for more, take a shorter time.
MOST_EXPORTED = 50_000

_C = audit_log.c


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditView:
    """One change: by whom and from where, what it did to what, how that was before and after, and why."""

    id: int
    at: datetime
    actor: str
    origin: str | None
    action: str
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditFilters:
    """What is searched by; all that is set must hold.

    `actor`, `action` and `target` are beginnings: "console/" finds all people, "gateway." all that was done
    to gateways. `since` counts in, `until` does not.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditService:
    """Reading the log. Raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def search(self, filters: AuditFilters, *, cursor: str | None = None, limit: int = 50) -> Page[AuditView]:
        """List changes, newest first. Raises Invalid for a cursor that is none of ours."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = _query(filters)
        if before:
            query = query.where(_C.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query.limit(limit + 1)).all()
        return paging.page(rows, limit, _view)

    def export(self, filters: AuditFilters) -> Iterator[AuditView]:
        """Give all that fits, newest first, at most `MOST_EXPORTED` changes."""
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execution_options(yield_per=1000).execute(_query(filters).limit(MOST_EXPORTED))
            for row in rows:
                yield _view(row)


def _query(filters: AuditFilters) -> sa.Select[Any]:
    query = sa.select(audit_log).order_by(_C.id.desc())
    for column, start in (
        (_C.actor, filters.actor),
        (_C.action, filters.action),
        (_C.target, filters.target),
    ):
        if start:
            query = query.where(column.startswith(start, autoescape=True))
    if filters.since is not None:
        query = query.where(_C.at >= filters.since)
    if filters.until is not None:
        query = query.where(_C.at < filters.until)
    return query


def _view(row: sa.Row[Any]) -> AuditView:
    return AuditView(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way to a row's names.
