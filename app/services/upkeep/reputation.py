"""Watching the reputation of our mail's names."""

from datetime import timedelta

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import reputation_hours
from app.domain.reputation import Bounds
from app.services.judging import judge_names
from app.services.sending.tools import Tools

HOURS_KEPT = timedelta(days=8)


def watch_reputation(tools: Tools, *, bounds: Bounds) -> str:
    """Judge all names by what was counted; tells which have changed. Raises Unavailable."""
    changed = judge_names(tools.engine, bounds, tools.now())
    if changed:
        tools.catalog.changed()
    return ", ".join(changed)


def forget_reputation(tools: Tools) -> int:
    """Remove counts that no window reaches any more; gives how many. Raises Unavailable."""
    with unavailable_when_down(), tools.engine.begin() as conn:
        old = reputation_hours.c.hour < sa.func.now() - HOURS_KEPT
        return conn.execute(sa.delete(reputation_hours).where(old)).rowcount
