"""Something on every page: rows that the browser tests look at. Each page's own function is below."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import channel_health, message_queue
from app.services.audit import Who, record
from app.services.keys import create_client, create_key
from tests.admin.browser.filled_batches import fill_batches
from tests.admin.browser.filled_devices import fill_devices
from tests.admin.browser.filled_home import fill_home
from tests.admin.browser.filled_limits import fill_limits
from tests.admin.browser.filled_messages import fill_message
from tests.admin.browser.filled_prices import fill_prices
from tests.admin.browser.filled_senders import fill_senders
from tests.admin.browser.filled_suppressions import fill_suppressions
from tests.admin.browser.filled_templates import fill_templates
from tests.admin.browser.filled_webhooks import fill_webhooks

NOW = datetime.now(UTC)
OPERATOR = Who(actor="console/anna@example.com", origin="192.0.2.7")


def fill(app: App) -> tuple[str, ...]:
    """Insert rows; gives further places to visit, such as one message's page."""
    with app.engine.begin() as conn:
        _messages(conn)
        _health(conn)
        fill_home(conn)
        _changes(conn)
        message = fill_message(conn)
        suppressions = fill_suppressions(conn)
        devices = fill_devices(conn)
    create_client(app.engine, OPERATOR, "shop", description="Orders and invoices")
    create_key(
        app.engine, OPERATOR, "shop", "checkout", ["messages:send"], allowed_addresses=["192.0.2.0/24"]
    )
    return (
        message,
        *suppressions,
        *devices,
        *fill_batches(app),
        *fill_templates(app),
        *fill_limits(app),
        *fill_prices(app),
        *fill_senders(app),
        *fill_webhooks(app),
        "/admin/account/password",
        "/admin/account/second-factor",
        "/admin/users/new",
        "/admin/clients/key",
    )


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


def _changes(conn: sa.Connection) -> None:
    slow = {"before": {"drained": False, "weight": 10}, "after": {"drained": True, "weight": 10}}
    record(conn, OPERATOR, "gateway.drain", "gateway:postal", **slow, why="Customers wait; Postal is slow")
