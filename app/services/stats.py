"""How deep the lanes are and how the channels do, by counting no further than is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.routing import Route
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.queue import PACKAGE
from app.services.catalog import Catalog

COUNTED = 10_000
WINDOW = timedelta(minutes=1)

_EVENTS_COUNTED = 100_000
_COUNTS = ("due", "scheduled", "processing")


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneDepth:
    """One lane. `due`, `scheduled` and `processing` stop at COUNTED, `at_least` tells which did.

    `oldest_age` is how long the oldest due message has waited; None where nothing is due.
    """

    priority: Priority
    name: str
    due: int
    scheduled: int
    processing: int
    at_least: frozenset[str]
    oldest_age: timedelta | None
    max_age: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayRate:
    """One gateway of one channel in the last `window`, by the events recorded in it.

    `sent` were accepted by the gateway, `failed` are tries that it did not accept, `success_rate` is
    the share of the first in both. Where there were too many events to count, `counted_all` is false,
    and the figures are of a part of the window; `per_second` and `success_rate` allow for that.
    """

    channel: Channel
    gateway: str
    enabled: bool
    breaker: BreakerState
    window: timedelta
    sent: int
    delivered: int
    bounced: int
    failed: int
    per_second: float
    success_rate: float | None
    counted_all: bool
    last_sent_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DayCost:
    """What one gateway's messages of one day (UTC) came to.

    `currency` is None for SMS of which no price was known; `messages` are tries that the gateway accepted.
    """

    day: date
    channel: Channel
    gateway: str
    currency: str | None
    messages: int
    segments: int
    amount: Decimal


class StatsService:
    """Figures for callers and operators; each call raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, lanes: Mapping[Priority, Lane]) -> None:
        self._engine = engine
        self._catalog = catalog
        self._lanes = lanes

    def queue(self) -> tuple[LaneDepth, ...]:
        """Tell depth and oldest age of each lane, P0 first."""
        parameters = {"priorities": [priority.value for priority in Priority], "counted": COUNTED}
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = run(conn, PACKAGE, "lane_depths", parameters).all()
        return tuple(_depth(row, self._lanes[Priority(row.priority)]) for row in rows)

    def channels(self, breakers: Mapping[tuple[Channel, str], BreakerState]) -> tuple[GatewayRate, ...]:
        """Tell what each gateway did in the last minute. `breakers` is what Redis says now.

        Events name no channel: a gateway of several channels shows the same figures for each.
        """
        parameters = {"window": WINDOW, "counted": _EVENTS_COUNTED}
        with unavailable_when_down():
            routes = self._catalog.routes()
            with self._engine.connect() as conn:
                rows = {row.gateway: row for row in run(conn, PACKAGE, "gateway_rates", parameters)}
        closed = BreakerState.CLOSED
        return tuple(
            _rate(route, rows.get(route.gateway), breakers.get((route.channel, route.gateway), closed))
            for route in routes
        )

    def costs(
        self, since: date, until: date, *, channel: Channel | None = None, gateway: str | None = None
    ) -> tuple[DayCost, ...]:
        """Tell what was spent from the day `since` to the day before `until`, by day, gateway and currency.

        Read from sums that settling keeps, so that it costs no look at messages or events.
        """
        parameters = {"since": since, "until": until, "channel": channel, "gateway": gateway}
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = run(conn, PACKAGE, "spending", parameters).all()
        return tuple(_day_cost(row) for row in rows)


def _day_cost(row: sa.Row[Any]) -> DayCost:
    return DayCost(
        day=row.day,
        channel=Channel(row.channel),
        gateway=row.gateway,
        currency=row.currency or None,
        messages=int(row.messages),
        segments=int(row.segments),
        amount=row.amount,
    )


def _depth(row: sa.Row[Any], lane: Lane) -> LaneDepth:
    counts = {name: getattr(row, name) for name in _COUNTS}
    return LaneDepth(
        priority=lane.priority,
        name=lane.name,
        **{name: min(count, COUNTED) for name, count in counts.items()},
        at_least=frozenset(name for name, count in counts.items() if count >= COUNTED),
        oldest_age=row.oldest_age,
        max_age=lane.max_age,
    )


def _rate(route: Route, row: sa.Row[Any] | None, breaker: BreakerState) -> GatewayRate:
    sent, failed = (row.sent, row.failed) if row else (0, 0)
    seconds = WINDOW.total_seconds()
    if row is not None and not row.counted_all:
        seconds = max(row.span.total_seconds(), 0.001)
    return GatewayRate(
        channel=route.channel,
        gateway=route.gateway,
        enabled=route.enabled,
        breaker=breaker,
        window=WINDOW,
        sent=sent,
        delivered=row.delivered if row else 0,
        bounced=row.bounced if row else 0,
        failed=failed,
        per_second=sent / seconds,
        success_rate=sent / (sent + failed) if sent + failed else None,
        counted_all=row.counted_all if row else True,
        last_sent_at=row.last_sent_at if row else None,
    )
