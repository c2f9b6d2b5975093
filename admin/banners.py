"""What stands above every page: that nothing leaves this machine, and what is stopped."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.bootstrap import App
from app.db.engine import unavailable_when_down
from app.db.tables import controls
from app.errors import Unavailable

_MOST = 5
_C = controls.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """One line above a page."""

    tone: str
    text: str
    since: datetime | None = None


def of(app: App, now: datetime) -> list[Banner]:
    """List what everybody has to know now."""
    simulated = [_SIMULATED] if app.settings.simulated else []
    try:
        return [*simulated, *_stops(app.engine, now)]
    except Unavailable:
        # The page itself says so.
        return simulated


_SIMULATED = Banner(
    tone="simulated",
    text="Gateways are simulated: nothing leaves this machine, and nobody gets these messages.",
)


def _stops(engine: sa.Engine, now: datetime) -> list[Banner]:
    in_force = sa.or_(_C.until_at.is_(None), _C.until_at > now)
    query = sa.select(controls).where(_C.lifted_at.is_(None), in_force).order_by(_C.id.desc()).limit(_MOST)
    with unavailable_when_down(), engine.connect() as conn:
        rows = conn.execute(query).all()
    return [
        Banner(
            tone="stopped",
            text=f"Stopped: {_scope(row.scope, row.scope_key)}"
            f"{', emergencies (P0) too' if row.includes_p0 else ''}, by {row.who}: {row.why}",
            since=row.from_at,
        )
        for row in rows
    ]


def _scope(scope: str, key: str | None) -> str:
    return "all sending" if scope == "all" else f"{scope} {key}" if key else scope
