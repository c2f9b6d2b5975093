"""Suppressions of each reason, one of them with the message that it came of."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import message_queue, suppression_list

NOW = datetime.now(UTC)


def fill_suppressions(conn: sa.Connection) -> tuple[str, ...]:
    """Insert some; gives the places that only they make worth a visit."""
    message = conn.execute(
        sa.select(message_queue.c.id).where(message_queue.c.recipient_address == "anna@example.com").limit(1)
    ).scalar_one()
    common = {
        "source": "api", "community_id": None, "category": None, "sender": None, "message_id": None,
        "note": None, "expires_at": None,
    }  # fmt: skip
    rows = [
        {"channel": "email", "address": "anna@example.com", "reason": "bounce_hard", "source": "ses",
         "message_id": message},
        {"channel": "email", "address": "bo@example.com", "reason": "bounce_soft", "source": "postal",
         "expires_at": NOW + timedelta(days=20)},
        {"channel": "sms", "address": "+41791234567", "reason": "complaint", "source": "messagebird"},
        {"channel": "email", "address": "cleo@example.com", "reason": "unsubscribe",
         "category": "spring-offers", "community_id": 17, "sender": "offers@shop.example"},
        {"channel": "all", "address": "dan@example.com", "reason": "legal", "note": "Letter of 3 May"},
        {"channel": "whatsapp", "address": "+31612345678", "reason": "manual", "source": "console"},
    ]  # fmt: skip
    made = sa.insert(suppression_list).returning(suppression_list.c.id)
    first, *_ = conn.execute(made, [common | row for row in rows]).scalars().all()
    return (f"/admin/suppressions/{first}", "/admin/suppressions/new", "/admin/suppressions/import")
