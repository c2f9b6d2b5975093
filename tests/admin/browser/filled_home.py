"""What Home shows: charts, a stop, and what diagnostics found."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.db.tables import controls, delivery_counted, lane_flows, throughput
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.runs import Known, Run, Scope, keep

NOW = datetime.now(UTC)


def fill_home(conn: sa.Connection) -> None:
    this_minute = NOW.replace(second=0, microsecond=0)
    rows = [
        {
            "grain": grain, "slot": this_minute.replace(**whole) - step * number, "priority": priority,
            "queued": usual * 3 // 2 + number % 7, "sent": usual + number * 13 % 50,
            "delivered": max(usual - 9 + number % 5, 0), "bounced": number % 6, "failed": number % 4,
            "expired": 0,
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
    flows = [{"priority": priority, "channel": "email", "client_id": 1} for priority in ("P1", "P3")]
    conn.execute(sa.insert(lane_flows), flows)
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
