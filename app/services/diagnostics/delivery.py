"""Whether messages arrive, and how long it takes us to hand them over."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.db.tables import message_queue
from app.domain.vocabulary import Priority
from app.services.deliveries import DAY, read_deliveries
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "delivery"

WANTED, ALARMING = 0.95, 0.8
ENOUGH = 50
HANDLED_WITHIN = timedelta(seconds=5)
SAMPLE = 500
SAMPLED = timedelta(hours=1)
# Of what is sent in bulk most waits its turn, as it should.
_AT_ONCE = (Priority.P0, Priority.P1, Priority.P4)

_finding = partial(Finding, subject=SUBJECT)


def rates(scene: Scene) -> Iterator[Finding]:
    """Look which gateways deliver less than 95 % of what ended within a day."""
    with scene.database() as conn:
        found = read_deliveries(conn, DAY)
    for each in found:
        if each.rate is None or each.ended < ENOUGH or each.rate >= WANTED:
            continue
        yield _finding(
            code="delivery_low",
            target=each.gateway,
            priority=Severity.HIGH if each.rate < ALARMING else Severity.MEDIUM,
            meaning=f"{each.gateway} delivered {each.rate:.1%} of what ended within a day.",
            advice="See by which codes its messages bounced: old addresses want cleaning, blocks by an ISP a "
            "slower pace and a look at sending domains.",
            automatic="Hard bounces are suppressed; reputation slows campaigns down before an ISP blocks.",
            evidence={"delivered": each.delivered, "bounced": each.bounced, "failed": each.failed},
        )


def handling(scene: Scene) -> Iterator[Finding]:
    """Measure how long single messages lately took from accepted to handed over."""
    for priority in _AT_ONCE:
        with scene.database() as conn:
            row = conn.execute(_took(priority)).one()
        slow, count = row.slow, row.sampled
        if slow is not None and slow > HANDLED_WITHIN and count >= ENOUGH:
            yield _finding(
                code="handling_slow",
                target=priority.value,
                priority=Severity.HIGH if priority is Priority.P0 else Severity.MEDIUM,
                meaning=f"Every twentieth {priority.value} message of the last hour took "
                f"{slow.total_seconds():.1f} s or longer to be handed to a gateway.",
                advice="See the lane's workers, the gateways' latency and what else the machine does.",
                evidence={"p95_seconds": round(slow.total_seconds(), 2), "messages": count},
            )


def _took(priority: Priority) -> sa.Select[Any]:
    """Select the 95th percentile of what was sent at its first try, out of the newest messages."""
    table = message_queue.c
    newest = (
        sa.select(table.sent_at, table.scheduled_for, table.created_at, table.tries, table.batch_id)
        .where(table.priority == priority.value)
        .order_by(table.id.desc())
        .limit(SAMPLE)
        .subquery()
    )
    due = sa.func.greatest(newest.c.created_at, newest.c.scheduled_for)
    took = newest.c.sent_at - due
    single = newest.c.batch_id.is_(None) & (newest.c.tries == 1)
    recent = newest.c.sent_at > sa.func.now() - SAMPLED
    slow = sa.func.percentile_disc(0.95).within_group(took)
    return sa.select(slow.label("slow"), sa.func.count().label("sampled")).where(single, recent)


CHECKS = tuple(
    Check(name=f"delivery_{check.__name__}", subject=SUBJECT, run=check) for check in (rates, handling)
)
