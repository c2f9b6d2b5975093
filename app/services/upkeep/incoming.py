"""Finding what gateways told and nobody has acted upon."""

from datetime import timedelta

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import parked_events, topic_members, webhook_inbox
from app.services.sending.tools import Tools

# A fact whose message has not turned up by then is about none of ours.
PARKED_FOR = timedelta(days=7)


def wake_inbox(tools: Tools) -> bool:
    """Wake recording where a webhook waits; tells whether one does. Raises Unavailable."""
    waits = _any(tools, sa.select(webhook_inbox.c.id).where(webhook_inbox.c.processed_at.is_(None)))
    if waits:
        tools.wake.inbox()
    return waits


def wake_parked(tools: Tools) -> bool:
    """Wake recording where a fact waits for its message; tells whether one does. Raises Unavailable."""
    waits = _any(tools, sa.select(parked_events.c.id))
    if waits:
        tools.wake.parked()
    return waits


def wake_topics(tools: Tools) -> bool:
    """Wake telling where a gateway does not know yet who follows a topic; tells whether it is so.

    Raises Unavailable.
    """
    waits = _any(tools, sa.select(topic_members.c.topic_id).where(topic_members.c.state != "subscribed"))
    if waits:
        tools.wake.topics()
    return waits


def _any(tools: Tools, query: sa.Select[tuple[int]]) -> bool:
    with unavailable_when_down(), tools.once.connect() as conn:
        return bool(conn.scalar(sa.select(sa.exists(query))))
