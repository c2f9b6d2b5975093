"""Webhooks that came in, as operators see them: who calls, what became of each, and trying again."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import redis
import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import webhook_inbox
from app.errors import Conflict, NotFound, Unavailable
from app.queue import PACKAGE
from app.services import paging
from app.services.audit import Who, record
from app.services.gateway_rows import require_why
from app.services.rejects import rejects
from app.services.views import Page
from app.services.withholding import Withholding
from app.wake import Wake

MOST = 200
# So many that failed are put back at a time; what they tell is recorded within seconds.
MOST_REPLAYED = 10_000
_COUNTED = 10_000
_SHOWN = 200_000  # characters of a body
_REJECTED_HOURS = 24

_IN = webhook_inbox.c
# As the index of those says it.
_FAILED = sa.and_(_IN.result.op("LIKE")(sa.literal_column("'failed%'")), _IN.processed_at.is_not(None))
_WAITS = _IN.processed_at.is_(None)


class WebhookState(StrEnum):
    """What became of a webhook; one that is tried again still waits."""

    WAITING = "waiting"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceView:
    """One gateway that calls, or may.

    `lag` is how long half of its newest took from coming in until their effect. `rejected` counts by reason
    what came without proof within a day, None where Redis cannot be asked. `waiting` and `failed` count to
    10,000 at most. It is not `expected` where its webhooks cannot be proven with what is set.
    """

    gateway: str
    expected: bool
    last_at: datetime | None
    lag: timedelta | None
    waiting: int
    failed: int
    rejected: Mapping[str, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookView:
    """One webhook, without what it says; `size` is its body's in bytes, None once that is erased."""

    id: int
    gateway: str
    received_at: datetime
    request_id: str | None
    state: WebhookState
    tries: int
    result: str | None
    processed_at: datetime | None
    erased_at: datetime | None
    size: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookContent:
    """What a webhook says, without secrets."""

    url: str
    headers: Mapping[str, str]
    body: str
    is_cut: bool


class ReceivedWebhooks:
    """Looking at the inbox and replaying from it. Each call raises Unavailable where PostgreSQL is down.

    `gateways` are those whose webhooks can be processed now.
    """

    def __init__(
        self,
        engine: sa.Engine,
        client: redis.Redis,
        gateways: Collection[str],
        *,
        withholding: Withholding,
        wake: Wake,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._redis = client
        self._gateways = gateways
        self._withholding = withholding
        self._wake = wake
        self._now = now

    def sources(self) -> tuple[SourceView, ...]:
        """List who calls, by name."""
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = run(conn, PACKAGE, "inbox_sources", {"gateways": sorted(self._gateways)}).all()
            waiting, failed = _counts(conn, _WAITS), _counts(conn, _FAILED)
        rejected = self._rejected([row.gateway for row in rows])
        return tuple(
            SourceView(
                gateway=row.gateway,
                expected=row.gateway in self._gateways,
                last_at=row.last_at,
                lag=row.lag,
                waiting=waiting.get(row.gateway, 0),
                failed=failed.get(row.gateway, 0),
                rejected=None if rejected is None else rejected.get(row.gateway, {}),
            )
            for row in rows
        )

    def list(
        self,
        *,
        gateway: str | None = None,
        state: WebhookState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[WebhookView]:
        """List webhooks, newest first; raises Invalid."""
        limit = paging.within(limit, MOST)
        before = paging.position(cursor, int)
        query = _views().order_by(_IN.id.desc()).limit(limit + 1)
        if gateway is not None:
            query = query.where(_IN.gateway == gateway)
        if state is not None:
            query = query.where(_condition(state))
        if before:
            query = query.where(_IN.id < before[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query).all()
        return paging.page(rows, limit, _view)

    def get(self, webhook: int) -> WebhookView:
        """Give one; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return _view(_required(conn.execute(_views().where(_IN.id == webhook)).one_or_none()))

    def open(self, who: Who, webhook: int) -> WebhookContent | None:
        """Give what a webhook says, which the audit log keeps; None once it is erased. Raises NotFound."""
        columns = (_IN.url, _IN.headers, _IN.body, _IN.erased_at)
        query: sa.Select[Any] = sa.select(*columns).where(_IN.id == webhook)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _required(conn.execute(query).one_or_none())
            record(conn, who, "webhook.open", f"webhook:{webhook}")
        return None if row.erased_at is not None else self._content(row)

    def replay(self, who: Who, webhook: int, *, why: str) -> None:
        """Have a webhook processed once more; what it told already counts no second time.

        Raises NotFound, Invalid without a reason, and Conflict where it waits anyway, was erased, or its
        gateway is not set up here any more.
        """
        require_why(why)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _required(conn.execute(_views().where(_IN.id == webhook).with_for_update()).one_or_none())
            if reason := self.hindrance(_view(row)):
                raise Conflict(reason)
            waits = {"processed_at": None, "tries": 0, "result": None}
            conn.execute(sa.update(webhook_inbox).where(_IN.id == webhook).values(waits))
            before = {"tries": row.tries, "result": row.result}
            record(conn, who, "webhook.replay", f"webhook:{webhook}", before=before, why=why)
        self._wake.inbox()

    def replay_failed(self, who: Who, gateway: str | None, *, why: str) -> int:
        """Have those that failed processed once more, of one gateway or all, oldest first; gives how many.

        So many are taken at a time as MOST_REPLAYED says. Raises Invalid without a reason, and Conflict
        where there is none.
        """
        require_why(why)
        names = [name for name in self._gateways if gateway in (None, name)]
        parameters = {"gateways": names, "limit": MOST_REPLAYED}
        with unavailable_when_down(), self._engine.begin() as conn:
            ids = sorted(run(conn, PACKAGE, "replay_webhooks", parameters).scalars())
            if not ids:
                raise Conflict("there is no failed webhook that could be replayed")
            after = {"webhooks": len(ids), "first": ids[0], "last": ids[-1]}
            record(conn, who, "webhook.replay", f"webhooks:{gateway or 'all'}", after=after, why=why)
        self._wake.inbox()
        return len(ids)

    def hindrance(self, view: WebhookView) -> str:
        """Say why a webhook cannot be replayed; nothing where it can."""
        if view.state is WebhookState.WAITING:
            return "it waits to be processed anyway"
        if view.erased_at is not None:
            return "what it said was erased after its time"
        if view.gateway not in self._gateways:
            return f"webhooks of {view.gateway} are not set up here"
        return ""

    def _rejected(self, names: Collection[str]) -> dict[str, dict[str, int]] | None:
        try:
            return rejects(self._redis, names, self._now(), hours=_REJECTED_HOURS)
        except Unavailable:
            return None

    def _content(self, row: sa.Row[Any]) -> WebhookContent:
        body = bytes(row.body or b"").decode(errors="replace")
        return WebhookContent(
            url=self._withholding.url(row.url),
            headers=self._withholding.headers(row.headers),
            body=self._withholding.body(body)[:_SHOWN],
            is_cut=len(body) > _SHOWN,
        )


def _views() -> sa.Select[Any]:
    names = ("id", "gateway", "received_at", "request_id", "tries", "result", "processed_at", "erased_at")
    return sa.select(*(_IN[name] for name in names), sa.func.octet_length(_IN.body).label("size"))


def _view(row: sa.Row[Any]) -> WebhookView:
    values = {name: getattr(row, name) for name in WebhookView.__slots__ if name != "state"}
    return WebhookView(**values, state=_state(row))


def _state(row: sa.Row[Any]) -> WebhookState:
    if row.processed_at is None:
        return WebhookState.WAITING
    return WebhookState.FAILED if (row.result or "").startswith("failed") else WebhookState.DONE


def _condition(state: WebhookState) -> sa.ColumnElement[bool]:
    if state is WebhookState.WAITING:
        return _WAITS
    if state is WebhookState.FAILED:
        return _FAILED
    return sa.and_(_IN.processed_at.is_not(None), sa.not_(sa.func.coalesce(_FAILED, sa.false())))


def _counts(conn: sa.Connection, condition: sa.ColumnElement[bool]) -> dict[str, int]:
    """Count by gateway, a bounded number of them."""
    some = sa.select(_IN.gateway).where(condition).order_by(_IN.id.desc()).limit(_COUNTED).subquery()
    rows = conn.execute(sa.select(some.c.gateway, sa.func.count().label("counted")).group_by(some.c.gateway))
    return {row.gateway: int(row.counted) for row in rows}


def _required(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise NotFound("there is no such webhook")
    return row
