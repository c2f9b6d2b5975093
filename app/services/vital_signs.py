"""Each gateway's figures in channel_health, from what workers count: never from messages or events."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.vitals import Vitals, added, usual_p95
from app.domain.vocabulary import Channel
from app.limits.breaker import Breakers
from app.limits.vitals import STEP, Step
from app.queue import PACKAGE
from app.services import health

Place = tuple[Channel, str]

_MINUTE = timedelta(minutes=1)
_SPANS_AN_HOUR = 6
# The stretches that are going on do not say yet what is usual.
_NEW_SPANS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """Ten minutes of one gateway; `ago` counts such stretches back from now."""

    ago: int
    vitals: Vitals
    peak: float
    failed_at: datetime | None


def refresh(engine: sa.Engine, breakers: Breakers, channel: Channel, gateway: str) -> None:
    """Write one gateway's figures now. Raises Unavailable."""
    write_figures(engine, breakers, [(channel, gateway)])


def write_figures(engine: sa.Engine, breakers: Breakers, places: Sequence[Place]) -> int:
    """Keep what was counted lately, and write figures of the last hour and day; gives how many gateways.

    What Redis counted is kept by the minute in PostgreSQL, so that an empty Redis costs a minute of the
    day's figures at most. Raises Unavailable.
    """
    rings = breakers.vitals(places)
    standings = breakers.states(places)
    with unavailable_when_down(), engine.begin() as conn:
        now = conn.execute(sa.select(sa.func.now())).scalar_one()
        _keep(conn, rings)
        spans = _spans(conn, places, now)
        # Always in the same order, so that no two who write many rows wait for each other.
        for place in sorted(places):
            health.write(conn, *place, _figures(spans[place], rings[place], now))
            # Once more, should the note of a change have been lost.
            health.write_standing(conn, *place, standings[place])
    return len(places)


def lately(steps: Sequence[Step], now: datetime, length: timedelta) -> Vitals:
    """Add up the steps that began within `length`."""
    return added(step.vitals for step in steps if now - step.at <= length)


def _keep(conn: sa.Connection, rings: Mapping[Place, Sequence[Step]]) -> None:
    minutes: dict[tuple[Place, datetime], list[Vitals]] = defaultdict(list)
    for place, steps in rings.items():
        for step in steps:
            minutes[place, step.at.replace(second=0)].append(step.vitals)
    if not minutes:
        return
    totals = [added(parts) for parts in minutes.values()]
    seconds = STEP.total_seconds()
    parameters = {
        "channels": [channel.value for (channel, _), _ in minutes],
        "gateways": [gateway for (_, gateway), _ in minutes],
        "minutes": [minute for _, minute in minutes],
        "accepted": [total.accepted for total in totals],
        "failed": [total.failed for total in totals],
        "requests": [total.requests for total in totals],
        "latency_ms": [total.latency_ms for total in totals],
        "peaks": [max(part.accepted for part in parts) / seconds for parts in minutes.values()],
        "latencies": ["{" + ",".join(map(str, total.latencies)) + "}" for total in totals],
    }
    run(conn, PACKAGE, "keep_minutes", parameters)


def _spans(conn: sa.Connection, places: Sequence[Place], now: datetime) -> dict[Place, list[_Span]]:
    found: dict[Place, list[_Span]] = defaultdict(list)
    parameters = {"now": now, "gateways": [gateway for _, gateway in places]}
    for row in run(conn, PACKAGE, "gateway_vitals", parameters):
        vitals = Vitals(
            accepted=row.accepted,
            failed=row.failed,
            requests=row.requests,
            latency_ms=row.latency_ms,
            latencies=list(row.latencies),
        )
        span = _Span(ago=row.ago, vitals=vitals, peak=row.peak_per_sec, failed_at=row.failed_at)
        found[Channel(row.channel), row.gateway].append(span)
    return found


def _figures(spans: Sequence[_Span], steps: Sequence[Step], now: datetime) -> dict[str, Any]:
    hour = added(span.vitals for span in spans if span.ago < _SPANS_AN_HOUR)
    day = added(span.vitals for span in spans)
    failures = [span.failed_at for span in spans if span.failed_at]
    values = {
        "success_rate_1h": hour.success_rate,
        "success_rate_24h": day.success_rate,
        "avg_latency_ms": hour.mean_ms,
        "p50_latency_ms": hour.percentile(0.5),
        "p95_latency_ms": hour.percentile(0.95),
        "p99_latency_ms": hour.percentile(0.99),
        "usual_p95_ms": usual_p95(span.vitals for span in spans if span.ago >= _NEW_SPANS),
        "current_rate_per_sec": lately(steps, now, _MINUTE).accepted / _MINUTE.total_seconds(),
        "max_rate_per_sec": max((span.peak for span in spans), default=None),
        "last_check_at": now,
    }
    return values | ({"last_failure_at": max(failures)} if failures else {})
