"""Breakers after Redis was lost: open again those that were open."""

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health, sender_health
from app.domain.vocabulary import BreakerState, Channel
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)


def restore_breakers(tools: Tools) -> int:
    """Open in Redis what PostgreSQL says is ill and Redis knows nothing of; gives how many.

    That goes for gateways and for single senders at them. Where nothing says until when, probes may try
    at once. Raises Unavailable.
    """
    with unavailable_when_down(), tools.once.connect() as conn:
        rows = conn.execute(_ill()).all()
    restored = 0
    for row in rows:
        if tools.breakers.restore(
            Channel(row.channel),
            row.gateway,
            reason=row.reason or "Open before Redis was lost",
            retry_at=row.breaker_until or tools.now(),
            changed_at=row.changed_at,
            scope=row.sender,
        ):
            log.warning("breaker restored", channel=row.channel, gateway=row.gateway, sender=row.sender)
            restored += 1
    return restored


def _ill() -> sa.CompoundSelect[tuple[str, str, str, str, object, object]]:
    of_gateway, of_sender = channel_health.c, sender_health.c
    gateways = sa.select(
        of_gateway.channel,
        of_gateway.gateway,
        sa.literal("").label("sender"),
        of_gateway.failure_reason.label("reason"),
        of_gateway.breaker_until,
        of_gateway.breaker_changed_at.label("changed_at"),
    ).where(of_gateway.breaker_state != BreakerState.CLOSED.value)
    senders = sa.select(
        of_sender.channel,
        of_sender.gateway,
        of_sender.sender,
        of_sender.reason,
        of_sender.breaker_until,
        of_sender.changed_at,
    ).where(of_sender.breaker_state != BreakerState.CLOSED.value)
    return gateways.union_all(senders)
