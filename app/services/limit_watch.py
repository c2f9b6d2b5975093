"""Telling that a limit is used up: once in a window's length, not for each message."""

import time
from contextlib import suppress

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.tables import rate_limits
from app.errors import Unavailable
from app.limits.windows import Full, Window
from app.services import metrics
from app.services.limit_events import LimitEventKind, write_event

log = structlog.get_logger(__name__)

# Windows of a second are full too often for anybody to read of each.
_LEAST_BETWEEN = 60.0  # seconds


class LimitWatch:
    """What is told of full windows by one process (RateLimitExceeded)."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._told: dict[tuple[str, Window], float] = {}

    def note(self, full: Full) -> None:
        """Count it, say it in one line, and write it down beside the limit."""
        kind, _, key = full.limit.key.partition(":")
        window = full.window.name.lower()
        metrics.count_full_limit(kind, key, window)
        now, place = time.monotonic(), (full.limit.key, full.window)
        if now - self._told.get(place, -_LEAST_BETWEEN) < _LEAST_BETWEEN:
            return
        self._told[place] = now
        log.warning(
            "rate limit exceeded",
            limit_type=kind,
            limit_key=key,
            window=window,
            priority=full.priority.value,
        )
        # What is sent now must not suffer from a lost note.
        with suppress(Unavailable):
            self._write(kind, key, window)

    def _write(self, kind: str, key: str, window: str) -> None:
        table = rate_limits
        statement = (
            sa.update(table)
            .where(table.c.limit_type == kind, table.c.limit_key == key)
            .values(
                last_exceeded_at=sa.func.now(),
                last_exceeded_window=window,
                exceeded_count=table.c.exceeded_count + 1,
            )
        )
        with unavailable_when_down(), self._engine.begin() as conn:
            conn.execute(statement)
            write_event(conn, LimitEventKind.EXCEEDED, kind, key, detail=window)
