"""Something on every page: rows that the browser tests look at. Each page's own function is below."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import channel_health, controls, delivery_counted, message_queue, throughput
from app.services.audit import Who
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.runs import Known, Run, Scope, keep
from app.services.keys import create_client, create_key
from tests.admin.browser.filled_templates import fill_templates

NOW = datetime.now(UTC)
OPERATOR = Who(actor="console/anna@example.com", origin="192.0.2.7")


def fill(app: App) -> tuple[str, ...]:
    """Insert rows; gives further places to visit, such as one message's page."""
    with app.engine.begin() as conn:
        _messages(conn)
        _health(conn)
        _counts(conn)
        _changes(conn)
    create_client(app.engine, OPERATOR, "shop", description="Orders and invoices")
    create_key(
        app.engine, OPERATOR, "shop", "checkout", ["messages:send"], allowed_addresses=["192.0.2.0/24"]
    )
    return (
        *fill_templates(app),
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


def _counts(conn: sa.Connection) -> None:
    this_minute = NOW.replace(second=0, microsecond=0)
    rows = [
        {
            "grain": grain, "slot": this_minute.replace(**whole) - step * number, "priority": priority,
            "queued": usual * 3 // 2 + number % 7, "sent": usual + number * 13 % 50,
            "delivered": max(usual - 9 + number % 5, 0), "bounced": number % 6, "failed": number % 4, "expired": 0,
        }
        for grain, step, whole in (
            ("minute", timedelta(minutes=1), {}), ("hour", timedelta(hours=1), {"minute": 0}),
        )
        for number in range(60)
        for priority, usual in (("P0", 2), ("P1", 40), ("P2", 300), ("P3", 180), ("P4", 90))
    ]  # fmt: skip
    conn.execute(sa.insert(throughput), rows)
    conn.execute(sa.insert(delivery_counted).values(until=NOW - timedelta(seconds=75)))
    conn.execute(
        sa.insert(controls).values(
            scope="channel", scope_key="sms", who="console/anna@example.com", why="The wrong list of readers"
        )
    )
    keep(conn, RUN)


RUN = Run(
    id=None,
    scope=Scope.QUICK,
    subjects=("queues", "gateways"),
    started_at=NOW,
    finished_at=NOW,
    worst=Severity.HIGH,
    findings=(
        Known(
            finding=Finding(
                code="lane_late", subject="queues", target="P2", priority=Severity.HIGH,
                meaning="The oldest newsletter has waited for 41 of its 60 minutes.",
                advice="Start more workers for P2, or see which limit holds it back.",
                automatic="Workers grow up to their bound.",
            ),
            since=NOW,
            is_new=True,
        ),
        Known(
            finding=Finding(
                code="limit_nearly_exhausted", subject="limits", priority=Severity.LOW,
                meaning="9,120 of 10,000 messages an hour for gmail.com are used up.",
                advice="Spread campaigns over more time.",
            ),
            since=NOW,
            is_new=False,
        ),
    ),
)  # fmt: skip


def _changes(conn: sa.Connection) -> None:
    slow = {"before": {"drained": False, "weight": 10}, "after": {"drained": True, "weight": 10}}
    record(conn, OPERATOR, "gateway.drain", "gateway:postal", **slow, why="Customers wait; Postal is slow")
