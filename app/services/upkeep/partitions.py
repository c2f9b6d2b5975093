"""Partitions of the event log, made before they are needed."""

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.services.sending.tools import Tools

MONTHS_AHEAD = 3


def ensure_partitions(tools: Tools) -> int:
    """Make the partitions of this month and the next three; gives how many were missing.

    Raises Unavailable.
    """
    with unavailable_when_down(), tools.engine.begin() as conn:
        return conn.scalar(sa.select(sa.func.ensure_event_partitions(MONTHS_AHEAD))) or 0
