"""Webhooks of two gateways: processed, waiting, tried in vain and put aside."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import webhook_inbox
from app.services.rejects import note_reject

NOW = datetime.now(UTC)


def fill_webhooks(app: App) -> tuple[str, ...]:
    """Keep webhooks as they come; gives the address of one."""
    with app.engine.begin() as conn:
        for number in range(6):
            _came(conn, number, tries=1, result="recorded 3, repeated 0, parked 0", seconds=0.8)
        put_aside = _came(conn, 7, tries=10, result="failed: ValueError", seconds=95)
        _came(conn, 8, tries=2, result="failed: LookupError")
        _came(conn, 9)
    note_reject(app.redis, "postal", "signature", NOW)
    return (f"/admin/webhooks/{put_aside}", "/admin/webhooks/?state=failed")


def _came(
    conn: sa.Connection, ago: int, *, tries: int = 0, result: str | None = None, seconds: float | None = None
) -> int:
    received = NOW - timedelta(minutes=ago + 2)
    values = {
        "gateway": "postal",
        "url": "https://mail.example.com/webhooks/postal",
        "headers": {"content-type": "application/json", "x-postal-signature": "c2lnbmVk"},
        "body": b'{"event": "MessageSent", "payload": {"message": {"to": "anna@example.com"}}}',
        "received_at": received,
        "request_id": f"8dcfe9ff821bd1a6281a990{ago}",
        "tries": tries,
        "result": result,
        "processed_at": None if seconds is None else received + timedelta(seconds=seconds),
    }
    return conn.scalar(sa.insert(webhook_inbox).values(values).returning(webhook_inbox.c.id))
