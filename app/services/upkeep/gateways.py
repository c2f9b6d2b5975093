"""Looking after gateways: their figures, and less traffic for those that are slow."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health, gateway_minutes, health_changes
from app.domain.vitals import Vitals, next_share
from app.domain.vocabulary import Channel
from app.limits.vitals import STEP
from app.services import health
from app.services.health import HealthChange, Kind
from app.services.sending.tools import Tools
from app.services.vital_signs import lately, write_figures

# What is slow now shows in what was answered within this.
WATCHED = timedelta(seconds=30)
MINUTES_KEPT = timedelta(days=8)
CHANGES_KEPT = timedelta(days=400)

Place = tuple[Channel, str]


def write_health(tools: Tools) -> int:
    """Write all gateways' figures; gives how many. Raises Unavailable."""
    return write_figures(tools.engine, tools.breakers, _places(tools))


def shift_weights(tools: Tools) -> str:
    """Give slow gateways less of their messages and well ones all again, by steps; tells which moved.

    Raises Unavailable.
    """
    rings = tools.breakers.vitals(_places(tools))
    now = tools.now()
    with unavailable_when_down(), tools.engine.begin() as conn:
        known = {(Channel(row.channel), row.gateway): row for row in conn.execute(sa.select(channel_health))}
        moved = [
            _shift(conn, place, known[place], lately(rings[place], now, WATCHED + STEP), now)
            for place in sorted(rings)
            if place in known
        ]
    told = [words for words in moved if words]
    if told:
        tools.catalog.changed()
    return ", ".join(told)


def forget_health(tools: Tools) -> int:
    """Remove counts and changes that are too old to be of use; gives how many. Raises Unavailable."""
    with unavailable_when_down(), tools.engine.begin() as conn:
        now = sa.func.now()
        minutes = sa.delete(gateway_minutes).where(gateway_minutes.c.minute < now - MINUTES_KEPT)
        changes = sa.delete(health_changes).where(health_changes.c.at < now - CHANGES_KEPT)
        return conn.execute(minutes).rowcount + conn.execute(changes).rowcount


def _shift(
    conn: sa.Connection, place: Place, row: sa.Row[tuple[object, ...]], vitals: Vitals, now: datetime
) -> str:
    """Change one gateway's share where it is time to; tells what was done."""
    since = now - row.share_changed_at if row.share_changed_at else timedelta(days=1)
    share = next_share(row.share, vitals, row.usual_p95_ms, since)
    if share == row.share:
        return ""
    health.write(conn, *place, {"share": share, "share_changed_at": now})
    change = HealthChange(
        kind=Kind.SHARE,
        channel=place[0],
        gateway=place[1],
        before=f"{row.share:.0%}",
        after=f"{share:.0%}",
        reason=_why(vitals, row.usual_p95_ms),
        at=now,
    )
    health.note(conn, change)
    return f"{place[1]} {share:.0%}"


def _why(vitals: Vitals, usual: float | None) -> str:
    p95 = vitals.percentile(0.95)
    if p95 is None or usual is None:
        return "too little was sent there to say how fast it is"
    return f"95 % of its answers came within {p95:.0f} ms; usual are {usual:.0f} ms"


def _places(tools: Tools) -> list[Place]:
    return [(route.channel, route.gateway) for route in tools.catalog.routes()]
