"""A message with a story, for the page of one message."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import delivery_events, message_queue

NOW = datetime.now(UTC)


def fill_message(conn: sa.Connection) -> str:
    """Insert a failed message that tried two gateways; gives the address of its page."""
    values = {
        "priority": "P3", "message_type": "campaign", "client_id": 1, "channel": "email",
        "recipient_address": "anna@example.com", "subject": "Spring", "body_text": "Spring is here.",
        "gateway": "ses", "status": "failed", "last_error": "550 5.1.1 No such user", "attempts": 2,
        "last_error_class": "recipient", "possible_duplicate": True, "max_attempts": 3,
        "source_type": "campaign_sends", "source_id": 4711,
        "scheduled_for": NOW - timedelta(minutes=5), "expires_at": NOW + timedelta(hours=6),
    }  # fmt: skip
    made = sa.insert(message_queue).values(values).returning(message_queue.c.id, message_queue.c.uuid)
    row = conn.execute(made).one()
    story = (
        ("queued", None, None, None, "api"),
        ("attempt_failed", "postal", "transient", "not_sent", "worker"),
        ("failed_over", "ses", None, None, "worker"),
        ("sent", "ses", "accepted", None, "worker"),
        ("bounced", "ses", "recipient", "5.1.1", "ses"),
    )
    for number, (kind, gateway, outcome, code, source) in enumerate(story):
        conn.execute(
            sa.insert(delivery_events).values(
                message_id=row.id, priority="P3", event_type=kind, gateway=gateway, outcome=outcome,
                code=code, source=source, attempt=number or None,
                detail="550 5.1.1 No such user" if kind == "bounced" else None,
                occurred_at=NOW - timedelta(minutes=5) + timedelta(seconds=number),
            )
        )  # fmt: skip
    return f"/admin/messages/{row.uuid}"
