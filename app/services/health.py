"""What is known of each gateway's health, kept where it outlives Redis."""

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health
from app.domain.vocabulary import BreakerState
from app.limits.breaker import Change

log = structlog.get_logger(__name__)


def note_change(engine: sa.Engine, change: Change) -> None:
    """Say a breaker's change in one line (ChannelHealthChanged) and write it down.

    Raises Unavailable where it cannot be written down.
    """
    log.warning(
        "gateway health changed",
        channel=change.channel.value,
        gateway=change.gateway,
        before=change.before.value,
        after=change.after.value,
        reason=change.reason,
    )
    healthy = change.after is BreakerState.CLOSED
    values = {
        "is_healthy": healthy,
        "breaker_state": change.after.value,
        "last_check_at": change.at,
        "failure_reason": None if healthy else change.reason,
    }
    if change.after is BreakerState.OPEN:
        values["last_failure_at"] = change.at
    statement = insert(channel_health).values(channel=change.channel, gateway=change.gateway, **values)
    with unavailable_when_down(), engine.begin() as conn:
        conn.execute(statement.on_conflict_do_update(index_elements=["channel", "gateway"], set_=values))
