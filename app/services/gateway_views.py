"""How gateways stand, put together from routes, breakers, health and credentials."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.db.tables import channel_health, sender_health
from app.domain.condition import Condition, judge
from app.domain.routing import Route
from app.domain.vocabulary import BreakerState, Channel
from app.limits.breaker import Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerView:
    """A gateway's breaker; `until` is when an open one lets probes through."""

    state: BreakerState
    reason: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class IllSenderView:
    """A sender of ours that the gateway refuses for now; other senders are not concerned."""

    sender: str
    state: BreakerState
    reason: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FiguresView:
    """What a gateway did, as it was last written down at `checked_at`; None where nothing was counted.

    Rates of success are shares of what was tried; latencies are those of the last hour, in milliseconds,
    `usual_p95_ms` that of a day. Rates are messages a second: of the last minute, and the day's highest.
    """

    success_rate_1h: float | None
    success_rate_24h: float | None
    avg_latency_ms: float | None
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    usual_p95_ms: float | None
    current_rate_per_sec: float | None
    max_rate_per_sec: float | None
    checked_at: datetime | None
    last_failure_at: datetime | None
    failure_reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeView:
    """The last question that the vendor was asked without sending anything, and what it came to."""

    at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CanaryView:
    """The last message to our own sink: how it fared, and how long it took until delivered (or sent)."""

    at: datetime
    status: str
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayView:
    """One gateway of one channel. Lower tiers come first; inside a tier it is by `weight`.

    `share` is below 1 while it is slow. `credentials` tells whether it is configured, never with what.
    A drained one takes only what names it, a disabled one nothing. `condition` is how it does where it is
    asked, and `condition_reason` why; `is_healthy` is for one look at all: nothing speaks against it.
    """

    channel: Channel
    gateway: str
    credentials: bool
    tier: int | None
    weight: int
    share: float
    enabled: bool
    drained: bool
    drained_by: str | None
    drained_why: str | None
    disabled_by: str | None
    disabled_why: str | None
    pools: tuple[str, ...]
    is_healthy: bool
    condition: Condition
    condition_reason: str
    breaker: BreakerView
    ill_senders: tuple[IllSenderView, ...]
    figures: FiguresView
    probe: ProbeView | None
    canary: CanaryView | None


Place = tuple[Channel, str]


def views(
    conn: sa.Connection,
    known: Mapping[str, Channel],
    routes: Sequence[Route],
    standings: Mapping[Place, Standing] | None,
) -> tuple[GatewayView, ...]:
    """Give all known gateways, those in use first, in their order.

    `standings` is what Redis says of breakers; where it says nothing, what was last written down counts.
    """
    rows = {(row.channel, row.gateway): row for row in conn.execute(sa.select(channel_health))}
    ill = _ill_senders(conn)
    by_place = {(route.channel, route.gateway): route for route in routes}
    unused = [(channel, name) for name, channel in known.items() if (channel, name) not in by_place]
    order = sorted(by_place, key=lambda place: (list(Channel).index(place[0]), by_place[place].tier))
    return tuple(
        _view(
            place,
            by_place.get(place),
            rows.get(place),
            ill[place],
            standings.get(place, Standing()) if standings is not None else None,
        )
        for place in [*order, *unused]
    )


def _ill_senders(conn: sa.Connection) -> dict[Place, list[IllSenderView]]:
    found: dict[Place, list[IllSenderView]] = defaultdict(list)
    refused = sa.select(sender_health).where(sender_health.c.breaker_state != BreakerState.CLOSED.value)
    for row in conn.execute(refused.order_by(sender_health.c.sender)):
        view = IllSenderView(
            sender=row.sender,
            state=BreakerState(row.breaker_state),
            reason=row.reason,
            until=row.breaker_until,
        )
        found[Channel(row.channel), row.gateway].append(view)
    return found


def _view(
    place: Place,
    route: Route | None,
    row: sa.Row[Any] | None,
    ill: Sequence[IllSenderView],
    standing: Standing | None,
) -> GatewayView:
    channel, gateway = place
    breaker = _breaker(row, standing)
    figures = _figures(row)
    share = route.share if route else 1.0
    found = judge(
        breaker=breaker.state,
        breaker_reason=breaker.reason,
        share=share,
        hour=figures.success_rate_1h,
        day=figures.success_rate_24h,
    )
    of_row = {name: getattr(row, name, None) for name in _USE}
    return GatewayView(
        channel=channel,
        gateway=gateway,
        credentials=route is not None,
        tier=route.tier if route else None,
        weight=route.weight if route else 1,
        share=share,
        enabled=route.enabled if route else True,
        drained=route.drained if route else False,
        pools=tuple(sorted(route.pools)) if route else (),
        is_healthy=found.is_well,
        condition=found.condition,
        condition_reason=found.reason,
        breaker=breaker,
        ill_senders=tuple(ill),
        figures=figures,
        probe=_probe(row),
        canary=_canary(row),
        **of_row,
    )


_USE = ("drained_by", "drained_why", "disabled_by", "disabled_why")
_FIGURES = tuple(name for name in FiguresView.__slots__ if name != "checked_at")


def _breaker(row: sa.Row[Any] | None, standing: Standing | None) -> BreakerView:
    if standing is not None:
        return BreakerView(
            state=standing.state, reason=standing.reason, since=standing.since, until=standing.retry_at
        )
    if row is None:
        return BreakerView(state=BreakerState.CLOSED, reason="", since=None, until=None)
    return BreakerView(
        state=BreakerState(row.breaker_state),
        reason=row.failure_reason or "",
        since=None,
        until=row.breaker_until,
    )


def _figures(row: sa.Row[Any] | None) -> FiguresView:
    values = {name: getattr(row, name, None) for name in _FIGURES}
    return FiguresView(**values, checked_at=row.last_check_at if row else None)


def _probe(row: sa.Row[Any] | None) -> ProbeView | None:
    if row is None or row.probed_at is None:
        return None
    return ProbeView(at=row.probed_at, outcome=row.probe_outcome or "", detail=row.probe_detail or "")


def _canary(row: sa.Row[Any] | None) -> CanaryView | None:
    if row is None or row.canary_at is None:
        return None
    return CanaryView(at=row.canary_at, status=row.canary_status or "", seconds=row.canary_seconds)
