"""Something on every page: rows that the browser tests look at. Each page's own function is below."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import channel_health, delivery_counts, message_queue

NOW = datetime.now(UTC)


def fill(app: App) -> tuple[str, ...]:
    """Insert rows; gives further places to visit, such as one message's page."""
    with app.engine.begin() as conn:
        _messages(conn)
        _health(conn)
        _counts(conn)
    return ("/admin/account/password", "/admin/account/second-factor")


def _messages(conn: sa.Connection) -> None:
    rows = [
        {
            "priority": priority,
            "message_type": kind,
            "client_id": 1,
            "channel": "email",
            "recipient_address": f"reader{number}@example.com",
            "subject": "Hello",
            "body_text": "Spring is here.",
            "gateway": "postal",
            "scheduled_for": NOW - timedelta(seconds=30),
            "expires_at": NOW + timedelta(hours=6),
            "max_attempts": 3,
        }
        for priority, kind in (("P1", "alert"), ("P3", "campaign"))
        for number in range(20)
    ]
    conn.execute(sa.insert(message_queue), rows)


def _health(conn: sa.Connection) -> None:
    rows = [
        {
            "channel": "email", "gateway": "postal", "is_healthy": True, "success_rate_1h": 0.997,
            "success_rate_24h": 0.9942, "avg_latency_ms": 84.0, "current_rate_per_sec": 12.5,
            "last_check_at": NOW,
        }
    ]  # fmt: skip
    for row in rows:
        conn.execute(sa.insert(channel_health).values(row))


def _counts(conn: sa.Connection) -> None:
    start = NOW.replace(second=0, microsecond=0, minute=NOW.minute // 5 * 5)
    rows = [
        {
            "slot": start - timedelta(minutes=5 * step), "priority": priority, "gateway": "postal",
            "sent": sent + step * 7 % 40, "delivered": sent - 3, "bounced": step % 4, "failed": step % 3,
        }
        for step in range(12)
        for priority, sent in (("P1", 40), ("P2", 300), ("P4", 90))
    ]  # fmt: skip
    conn.execute(sa.insert(delivery_counts), rows)
