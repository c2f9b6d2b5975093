"""How much went through in the last hour, day or month, by status and by priority."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import delivery_counted, throughput
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.sending.tools import Tools

STATUSES = ("queued", "sent", "delivered", "bounced", "failed", "expired")

_MINUTES_KEPT = timedelta(hours=26)
_HOURS_KEPT = timedelta(days=33)
# Rates of lanes are those of so long.
RATED = timedelta(seconds=10)
_MOST_RATED = 20_000
_T = throughput.c


class Span(StrEnum):
    """How far a chart looks back."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class _Cut:
    grain: str
    step: timedelta
    steps: int


_CUTS = {
    Span.HOUR: _Cut("minute", timedelta(minutes=1), 60),
    Span.DAY: _Cut("minute", timedelta(minutes=15), 96),
    Span.MONTH: _Cut("hour", timedelta(days=1), 30),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One step of a chart: how many events of each status, and how many were sent of each priority."""

    at: datetime
    by_status: Mapping[str, int]
    by_priority: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """What went through in a span, oldest first, without gaps; `until` is how far was counted."""

    span: Span
    step: timedelta
    slices: tuple[Slice, ...]
    until: datetime | None

    def total(self, status: str) -> int:
        """Add up one status over the span."""
        return sum(each.by_status.get(status, 0) for each in self.slices)


def read_throughput(engine: sa.Engine, span: Span, *, now: datetime) -> Throughput:
    """Read what was counted; raises Unavailable. It costs the same however many messages there are."""
    cut = _CUTS[span]
    last = _floor(now, cut.step)
    first = last - cut.step * (cut.steps - 1)
    query = sa.select(throughput).where(_T.grain == cut.grain, _T.slot >= first)
    by_status: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_priority: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    with unavailable_when_down(), engine.connect() as conn:
        until = conn.execute(sa.select(delivery_counted.c.until)).scalar()
        for row in conn.execute(query):
            at = _floor(row.slot, cut.step)
            for status in STATUSES:
                by_status[at][status] += getattr(row, status)
            by_priority[at][row.priority] += row.sent
    slices = tuple(
        Slice(at=at, by_status=dict(by_status.get(at, {})), by_priority=dict(by_priority.get(at, {})))
        for at in (first + cut.step * index for index in range(cut.steps))
    )
    return Throughput(span=span, step=cut.step, slices=slices, until=until)


def lane_rates(engine: sa.Engine) -> dict[Priority, float]:
    """Tell how many messages a second each lane sent in the last RATED; raises Unavailable."""
    parameters = {"window": RATED, "counted": _MOST_RATED}
    with unavailable_when_down(), engine.connect() as conn:
        rows = run(conn, PACKAGE, "lane_rates", parameters).all()
    rates = dict.fromkeys(Priority, 0.0)
    for row in rows:
        span = RATED if row.counted_all else max(row.span, timedelta(milliseconds=1))
        rates[Priority(row.priority)] = row.sent / span.total_seconds()
    return rates


def forget_throughput(tools: Tools) -> int:
    """Remove minutes and hours that no chart reaches any more; raises Unavailable."""
    old = sa.or_(
        sa.and_(_T.grain == "minute", _T.slot < sa.func.now() - _MINUTES_KEPT),
        sa.and_(_T.grain == "hour", _T.slot < sa.func.now() - _HOURS_KEPT),
    )
    with unavailable_when_down(), tools.once.connect() as conn:
        return conn.execute(sa.delete(throughput).where(old)).rowcount


def _floor(at: datetime, step: timedelta) -> datetime:
    """Give the beginning of the step that a time is in; days begin in UTC."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return start + (at - start) // step * step
