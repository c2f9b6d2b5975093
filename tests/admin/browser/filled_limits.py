"""Limits near their end, a gateway that is slowed down, and a name in bad repute."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import limit_events, reputation_hours, reputations
from app.limits.paces import flow_of
from app.services.audit import Who
from app.services.limit_table import Warmup
from app.services.limits import LimitDraft, LimitType

NOW = datetime.now(UTC)
OPERATOR = Who(actor="console/anna@example.com")


def fill_limits(app: App) -> tuple[str, ...]:
    """Set limits and use some of them; gives the addresses of their forms."""
    warmup = Warmup(first=50, growth="double", started_at=NOW - timedelta(days=3))
    fresh = LimitDraft(max_per_hour=100, max_per_day=50_000, warmup=warmup, notes="New addresses of ours")
    view, _ = app.limits.set(OPERATOR, LimitType.IP_POOL, "fresh", fresh)
    app.limits.set(OPERATOR, LimitType.GATEWAY, "smtp", LimitDraft(max_per_minute=1000, max_per_hour=20))
    app.limits.set(OPERATOR, LimitType.RECIPIENT, "anna@example.com", LimitDraft(max_per_day=2))
    counted = {"ip_pool:fresh": 85, "gateway:smtp": 20}
    known = {name: app.catalog.limits().find(*name.split(":")) for name in counted}
    app.tokens.restore({known[name]: [(NOW, count)] for name, count in counted.items()})
    app.tokens.restore({flow_of("postal"): [(NOW, 400)]})
    app.paces.lower(
        "postal", "google", share=0.5, why="421-4.7.28 Our system has detected an unusual rate", times=10
    )
    with app.engine.begin() as conn:
        _names(conn)
        _events(conn)
    return ("/admin/limits/edit", f"/admin/limits/edit?id={view.id}")


def _names(conn: sa.Connection) -> None:
    hour = NOW - timedelta(hours=1)
    for key, level, reason, bounced in (
        ("news.example.com", 2, "6.0 % of 10,000 messages of a day bounced", 600),
        ("example.com", 0, "", 12),
    ):
        name = {"kind": "domain", "key": key}
        conn.execute(
            sa.insert(reputation_hours).values(**name, hour=hour, sent=10_000, bounced=bounced, complained=3)
        )
        conn.execute(sa.insert(reputations).values(**name, level=level, reason=reason, changed_at=hour))


def _events(conn: sa.Connection) -> None:
    full = {"kind": "exceeded", "limit_type": "gateway", "limit_key": "postal", "detail": "hour"}
    slow = {
        "kind": "pace_lowered", "limit_type": "isp", "limit_key": "google", "gateway": "postal",
        "detail": "421-4.7.28 Our system has detected an unusual rate",
    }  # fmt: skip
    for row in (full, slow):
        conn.execute(sa.insert(limit_events).values(row))
