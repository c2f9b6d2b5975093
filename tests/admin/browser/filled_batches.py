"""Batches in each state, one of them half sent and with refused rows."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from app.bootstrap import App
from app.db.tables import batch_rejects, message_batches, users

NOW = datetime.now(UTC)


def fill_batches(app: App) -> tuple[str, ...]:
    """Insert some; gives the page of the half-sent one, and that of an upload that waits for its person."""
    with app.engine.begin() as conn:
        half_sent = _batches(conn)
        admin = conn.execute(sa.select(users.c.id).where(users.c.role == "admin").limit(1)).scalar_one()
    content = b"email,id,first_name,town\nanna@example.com,7,Anna,Bern\nbo@example.com,8,Bo,Utrecht\n"
    said = {"channel": "email", "message_type": "campaign", "subject": "Spring is here"}
    token = app.upload_shelf.put(admin, "spring.csv", said, content)
    return (half_sent, f"/admin/batch-upload/{token}")


def _batches(conn: sa.Connection) -> str:
    common = {
        "client_id": 1, "priority": "P3", "message_type": "campaign", "channel": "email",
        "subject": "Spring is here", "body_text": "x", "received": 48_000, "queued": 48_000,
        "accepted_at": NOW - timedelta(hours=1),
        "invalid": 0, "duplicate": 0, "pending": 0, "sent": 0, "delivered": 0, "bounced": 0, "cancelled": 0,
        "suppressed": 0, "failed": 0, "finished_at": None, "template": None,
    }  # fmt: skip
    rows = [
        {"state": "finished", "delivered": 47_311, "bounced": 689, "finished_at": NOW,
         "template": "spring-offers"},
        {"state": "cancelled", "cancelled": 31_000, "sent": 17_000, "finished_at": NOW},
        {"state": "accepted", "channel": "sms", "queued": 0},
        {"state": "expanded", "invalid": 213, "duplicate": 1_204, "suppressed": 802, "delivered": 21_000,
         "sent": 1_950, "failed": 47, "bounced": 84, "pending": 22_700},
    ]  # fmt: skip
    made = sa.insert(message_batches).returning(
        message_batches.c.id, message_batches.c.uuid, sort_by_parameter_order=True
    )
    last = conn.execute(made, [common | row for row in rows]).all()[-1]
    reasons = ("address: must be an address, as in name@example.com", "has 4 cells where there are 5 columns")
    conn.execute(
        sa.insert(batch_rejects),
        [{"batch_id": last.id, "line": 7 + 31 * n, "reason": reasons[n % 2]} for n in range(30)],
    )
    return f"/admin/batches/{last.uuid}"
