"""Devices in each state."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import device_tokens

NOW = datetime.now(UTC)


def fill_devices(conn: sa.Connection) -> None:
    """Insert some."""
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
    conn.execute(sa.insert(device_tokens), [common | row for row in rows])
