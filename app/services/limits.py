"""Rate limits, as operators see and set them, with how much of each is used."""

import builtins
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import rate_limits, rate_windows
from app.errors import Invalid, NotFound, Unavailable
from app.limits.paces import EVERYWHERE, Pace, Paces
from app.limits.tokens import Limit, Tokens, Usage, Window
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.limit_counts import COUNTED_AT_ONCE, forget, sent_lately
from app.services.limit_events import LimitEvent, events
from app.services.limit_rows import (
    LimitDraft,
    LimitType,
    LimitView,
    checked_key,
    draft_of,
    faults_of,
    for_audit,
    values_of,
    warmup_view,
    window_uses,
)
from app.services.limit_table import limit_of
from app.services.views import Page

__all__ = ["LimitDraft", "LimitType", "LimitView", "LimitsService", "PaceView"]

_C = rate_limits.c


@dataclass(frozen=True, kw_only=True, slots=True)
class PaceView:
    """How fast a gateway is sent to after it said "too fast"; `part` is an ISP, a domain, or * for all.

    Rates are messages a second; `factor` is the share of the usual one. It creeps up by itself.
    """

    gateway: str
    part: str
    per_second: float
    usual: float
    factor: float
    lowered_at: datetime
    times: int
    why: str


class LimitsService:
    """Looking at limits and setting them; each change lands in the audit log.

    Each call raises Unavailable where PostgreSQL is down; without Redis limits show no usage. What is
    changed holds in workers at once, where Redis tells them, else within five seconds. `tokens` and
    `paces` are None where rate limiting is switched off: then limits can be written and limit nobody.
    """

    def __init__(
        self, engine: sa.Engine, catalog: Catalog, tokens: Tokens | None, paces: Paces | None
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._tokens = tokens
        self._paces = paces

    # Looking

    def list(self, *, limit_type: LimitType | None = None) -> tuple[LimitView, ...]:
        """List limits by type and key, active or not."""
        query = sa.select(rate_limits, sa.func.now().label("now")).order_by(_C.limit_type, _C.limit_key)
        if limit_type is not None:
            query = query.where(_C.limit_type == limit_type)
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(query).all()
        return self._views(rows)

    def get(self, limit_type: LimitType, limit_key: str) -> LimitView:
        """Give one limit; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            row = _required(_find(conn, limit_type, limit_key))
        return self._views([row])[0]

    def paces(self) -> tuple[PaceView, ...]:
        """List gateways that are sent to more slowly than usual; raises Unavailable without Redis."""
        found = self._paces.all() if self._paces else {}
        return tuple(_pace_view(pace) for _, pace in sorted(found.items()))

    def events(self, *, cursor: str | None = None, limit: int = 50) -> Page[LimitEvent]:
        """List when limits were used up and paces lowered, newest first; raises Invalid."""
        return events(self._engine, cursor=cursor, limit=limit)

    # Changing

    def set(
        self, who: Who, limit_type: LimitType, limit_key: str, draft: LimitDraft, *, why: str | None = None
    ) -> tuple[LimitView, bool]:
        """Make or replace a limit; tells too whether it is new. Raises Invalid."""
        key = checked_key(limit_type, limit_key)
        found = builtins.list(faults_of(limit_type, draft))
        if found:
            raise Invalid(found)
        with unavailable_when_down(), self._engine.begin() as conn:
            before = _find(conn, limit_type, key, for_update=True)
            row = _save(conn, limit_type, key, draft)
            record(
                conn,
                who,
                "limit.set",
                f"limit:{limit_type}/{key}",
                before=for_audit(draft_of(before)) if before else None,
                after=for_audit(draft_of(row)),
                why=why,
            )
        self._catalog.changed()
        self._count_new_windows(before, row)
        return self.get(limit_type, key), before is None

    def change(
        self,
        who: Who,
        limit_type: LimitType,
        limit_key: str,
        changes: Mapping[str, Any],
        *,
        why: str | None = None,
    ) -> LimitView:
        """Change some fields of a limit, named as in LimitDraft; raises NotFound and Invalid."""
        with unavailable_when_down(), self._engine.connect() as conn:
            row = _required(_find(conn, limit_type, limit_key))
        draft = replace(draft_of(row), **changes)
        return self.set(who, limit_type, limit_key, draft, why=why)[0]

    def remove(self, who: Who, limit_type: LimitType, limit_key: str, *, why: str | None = None) -> None:
        """Remove a limit, with what it has counted; raises NotFound."""
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _required(_find(conn, limit_type, limit_key, for_update=True))
            conn.execute(sa.delete(rate_limits).where(_C.id == row.id))
            _forget_windows(conn, limit_type, limit_key)
            target = f"limit:{limit_type}/{limit_key}"
            record(conn, who, "limit.remove", target, before=for_audit(draft_of(row)), why=why)
        self._catalog.changed()
        if self._tokens:
            self._tokens.reset([limit_of(row, row.now)])

    def reset(self, who: Who, limit_type: LimitType, limit_key: str, *, why: str | None = None) -> LimitView:
        """Forget what a limit has counted, and its lowered paces.

        Raises NotFound, and Unavailable without Redis.
        """
        with unavailable_when_down(), self._engine.begin() as conn:
            row = _required(_find(conn, limit_type, limit_key, for_update=True))
            _forget_counts(conn, [row])
            self._forget([row])
            record(conn, who, "limit.reset", f"limit:{limit_type}/{limit_key}", why=why)
        return self.get(limit_type, limit_key)

    def reset_all(self, who: Who, *, why: str | None = None) -> int:
        """Forget what all limits but the recipients' have counted, and all paces; gives how many limits."""
        with unavailable_when_down(), self._engine.begin() as conn:
            rows = conn.execute(sa.select(rate_limits, sa.func.now().label("now")).with_for_update()).all()
            _forget_counts(conn, rows)
            self._forget(rows)
            if self._paces:
                self._paces.forget_all()
            record(conn, who, "limit.reset", "limits", after={"limits": len(rows)}, why=why)
        return len(rows)

    def forget_pace(self, who: Who, gateway: str, part: str, *, why: str | None = None) -> None:
        """Send to a gateway as fast as usual again; raises NotFound, and Unavailable without Redis."""
        if self._paces is None or (gateway, part) not in self._paces.all():
            raise NotFound("this gateway is sent to as fast as usual")
        with unavailable_when_down(), self._engine.begin() as conn:
            record(conn, who, "pace.forget", f"pace:{gateway}/{part}", why=why)
            self._paces.forget(gateway, part)

    def _forget(self, rows: Iterable[sa.Row[Any]]) -> None:
        if self._tokens:
            self._tokens.reset([limit_of(row, row.now) for row in rows if row.limit_type != "recipient"])
        if self._paces:
            keys = {(row.limit_type, row.limit_key) for row in rows}
            for gateway, part in self._paces.all():
                own = ("gateway", gateway) if part == EVERYWHERE else None
                if own in keys or keys & {("isp", part), ("domain", part)}:
                    self._paces.forget(gateway, part)

    def _count_new_windows(self, before: sa.Row[Any] | None, row: sa.Row[Any]) -> None:
        """Count what was sent lately in windows that were not there before, so that they start full."""
        if self._tokens is None or row.limit_type == LimitType.RECIPIENT:
            return
        limit = limit_of(row, row.now)
        known = {window for window, _ in limit_of(before, row.now).windows()} if before else set()
        new = [window for window, _ in limit.windows() if window not in known]
        if not new:
            return
        longest = min(max(window.length for window in new), COUNTED_AT_ONCE)
        with unavailable_when_down(), self._engine.connect() as conn:
            sent = sent_lately(conn, self._catalog.isps(), limit, row.now - longest)
        self._tokens.restore({limit: sent})

    # Showing

    def _views(self, rows: Sequence[sa.Row[Any]]) -> tuple[LimitView, ...]:
        limits = {row.id: limit_of(row, row.now) for row in rows}
        usages, factors = self._usages(rows, limits), self._factors()
        return tuple(_view(row, limits[row.id], usages.get(row.id), factors) for row in rows)

    def _usages(self, rows: Sequence[sa.Row[Any]], limits: Mapping[int, Limit]) -> dict[int, Usage]:
        counted = [row.id for row in rows if row.limit_type != "recipient"]
        if self._tokens is None or not counted:
            return {}
        try:
            return dict(zip(counted, self._tokens.usage([limits[row] for row in counted]), strict=True))
        except Unavailable:
            return {}

    def _factors(self) -> dict[tuple[str, str], float]:
        """Give by what each limited thing is slowed down most."""
        try:
            paces = self._paces.all() if self._paces else {}
        except Unavailable:
            return {}
        factors: dict[tuple[str, str], float] = {}
        for (gateway, part), pace in paces.items():
            kinds = [("gateway", gateway)] if part == EVERYWHERE else [("isp", part), ("domain", part)]
            for place in kinds:
                factors[place] = min(pace.factor, factors.get(place, 1.0))
        return factors


def _find(
    conn: sa.Connection, limit_type: LimitType, limit_key: str, *, for_update: bool = False
) -> sa.Row[Any] | None:
    query = sa.select(rate_limits, sa.func.now().label("now")).where(
        _C.limit_type == limit_type, _C.limit_key == limit_key
    )
    return conn.execute(query.with_for_update() if for_update else query).one_or_none()


def _required(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise NotFound("there is no such limit")
    return row


def _save(conn: sa.Connection, limit_type: LimitType, limit_key: str, draft: LimitDraft) -> sa.Row[Any]:
    values = values_of(draft)
    statement = insert(rate_limits).values(limit_type=limit_type, limit_key=limit_key, **values)
    replacing = statement.on_conflict_do_update(constraint="rate_limits_limit_key_key", set_=values)
    return conn.execute(replacing.returning(*_C, sa.func.now().label("now"))).one()


def _forget_windows(conn: sa.Connection, limit_type: LimitType, limit_key: str) -> None:
    table = rate_windows.c
    conn.execute(sa.delete(rate_windows).where(table.limit_type == limit_type, table.limit_key == limit_key))


def _forget_counts(conn: sa.Connection, rows: Iterable[sa.Row[Any]]) -> None:
    """Keep that nothing was counted by now, so that a Redis that is emptied brings nothing back."""
    forget(conn, [limit_of(row, row.now) for row in rows if row.limit_type != "recipient"])


def _view(
    row: sa.Row[Any], limit: Limit, usage: Usage | None, factors: Mapping[tuple[str, str], float]
) -> LimitView:
    names = (
        "id", "limit_key", "max_per_second", "max_per_minute", "max_per_hour", "max_per_day", "is_active",
        "notes", "exceeded_count", "last_exceeded_at", "last_exceeded_window", "updated_at",
    )  # fmt: skip
    return LimitView(
        **{name: getattr(row, name) for name in names},
        limit_type=LimitType(row.limit_type),
        warmup=warmup_view(row, row.now),
        usage=None if usage is None else window_uses(dict(limit.windows()), _held(usage)),
        factor=round(factors.get((row.limit_type, row.limit_key), 1.0), 4),
    )


def _held(usage: Usage) -> dict[Window, int]:
    figures = (usage.per_second, usage.per_minute, usage.per_hour, usage.per_day)
    return {window: held for window, held in zip(Window, figures, strict=True) if held is not None}


def _pace_view(pace: Pace) -> PaceView:
    return PaceView(
        gateway=pace.gateway,
        part=pace.part,
        per_second=round(pace.per_second, 3),
        usual=round(pace.usual, 3),
        factor=round(pace.factor, 4),
        lowered_at=pace.lowered_at,
        times=pace.times,
        why=pace.why,
    )
