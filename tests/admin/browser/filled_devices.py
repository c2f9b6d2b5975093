"""Devices in each state."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import device_tokens, topic_members, topics

NOW = datetime.now(UTC)


def fill_devices(conn: sa.Connection) -> tuple[str, ...]:
    """Insert some, two of which follow a topic; gives the topic's page."""
    common = {
        "platform": "fcm", "device": "android", "app": "com.example.shop", "recipient_type": "member",
        "recipient_id": 4711, "locale": None, "deactivated_at": None, "deactivated_why": None,
        "last_seen_at": NOW - timedelta(minutes=3),
    }  # fmt: skip
    rows = [
        {"token": "f" * 150},
        {"token": "a" * 64, "platform": "apns", "device": "ios", "app": "com.example.Shop",
         "locale": "de-CH"},
        {"token": "e" * 150, "recipient_id": 4712, "last_seen_at": NOW - timedelta(days=400)},
        {"token": "d" * 150, "recipient_type": None, "app": None, "device": None,
         "deactivated_at": NOW - timedelta(days=2), "deactivated_why": "gateway"},
    ]  # fmt: skip
    made = sa.insert(device_tokens).returning(device_tokens.c.id)
    first, second, *_ = conn.execute(made, [common | row for row in rows]).scalars().all()
    spring = {"name": "spring-offers", "description": "What is new in the shop"}
    topic = conn.execute(sa.insert(topics).values(spring).returning(topics.c.id)).scalar_one()
    members = [(first, "subscribed", None), (second, "subscribing", "INTERNAL")]
    conn.execute(
        sa.insert(topic_members),
        [
            {"topic_id": topic, "device_id": each, "state": state, "error": error}
            for each, state, error in members
        ],
    )
    return ("/admin/topics/one/spring-offers",)
