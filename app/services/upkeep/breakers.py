"""Breakers after Redis was lost: open again those that were open."""

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health
from app.domain.vocabulary import BreakerState, Channel
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)


def restore_breakers(tools: Tools) -> int:
    """Open in Redis what channel_health says is ill and Redis knows nothing of; gives how many.

    Where nothing says until when, probes may try at once. Raises Unavailable.
    """
    table = channel_health.c
    query = sa.select(table.channel, table.gateway, table.failure_reason, table.breaker_until).where(
        table.breaker_state != BreakerState.CLOSED.value
    )
    with unavailable_when_down(), tools.once.connect() as conn:
        rows = conn.execute(query).all()
    restored = 0
    for row in rows:
        if tools.breakers.restore(
            Channel(row.channel),
            row.gateway,
            reason=row.failure_reason or "Open before Redis was lost",
            retry_at=row.breaker_until or tools.now(),
        ):
            log.warning("breaker restored", channel=row.channel, gateway=row.gateway)
            restored += 1
    return restored
