"""Whether gateways tell us what became of our messages, and whether we take it in."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from app.db.tables import delivery_counts, webhook_inbox
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity
from app.services.diagnostics.gateways import DOORS
from app.services.rejects import rejects

SUBJECT = "webhooks"

LATE, VERY_LATE = timedelta(minutes=1), timedelta(minutes=10)
# Most vendors tell of a delivery within minutes; who sent so much and heard nothing for so long is not told.
SILENT_FOR = timedelta(hours=1)
SENT_BEFORE = timedelta(hours=24)
ENOUGH = 20
GIVEN_UP_WITHIN = timedelta(hours=24)
REJECTED_HOURS = 24
MANY_REJECTED = 10
COUNTED = 10_000

_IN = webhook_inbox.c
_finding = partial(Finding, subject=SUBJECT)


def backlog(scene: Scene) -> Iterator[Finding]:
    """Look how long the oldest webhook waits for being worked off."""
    waiting = _IN.processed_at.is_(None)
    few = sa.select(_IN.received_at).where(waiting).order_by(_IN.id).limit(COUNTED).subquery()
    age_of = (sa.func.now() - sa.func.min(few.c.received_at)).label("age")
    query = sa.select(sa.func.count().label("waiting"), age_of)
    with scene.database() as conn:
        row = conn.execute(query).one()
    count, age = row.waiting, row.age
    if age is not None and age > LATE:
        yield _finding(
            code="inbox_backlog",
            priority=Severity.CRITICAL if age > VERY_LATE else Severity.HIGH,
            meaning=f"{count} webhooks wait, the oldest for {age.total_seconds():.0f} s: deliveries, bounces "
            "and opt-outs have no effect yet.",
            advice="See whether the workers' process `events` runs and gets on.",
            automatic="The scheduler wakes it every five seconds; nothing that was taken in is lost.",
            evidence={"waiting": count, "oldest_seconds": round(age.total_seconds())},
        )


def given_up(scene: Scene) -> Iterator[Finding]:
    """Count webhooks that were put aside because they could not be processed."""
    recent = _IN.received_at > sa.func.now() - GIVEN_UP_WITHIN
    query = (
        sa.select(_IN.gateway, sa.func.count(), sa.func.max(_IN.id))
        .where(recent, _IN.processed_at.is_not(None), _IN.result.startswith("failed"))
        .group_by(_IN.gateway)
    )
    with scene.database() as conn:
        rows = conn.execute(query).all()
    for gateway, count, last in rows:
        yield _finding(
            code="webhooks_given_up",
            target=gateway,
            priority=Severity.MEDIUM,
            meaning=f"{count} webhooks of {gateway} could not be processed in a day and were put aside.",
            advice="Look at one in webhook_inbox: the vendor may have changed its format.",
            evidence={"count": count, "last_inbox_id": last},
        )


def silent(scene: Scene) -> Iterator[Finding]:
    """Look for gateways that took messages and tell nothing."""
    counts, now = delivery_counts.c, sa.func.now()
    sent = (
        sa.select(counts.gateway, sa.func.sum(counts.sent))
        .where(counts.slot.between(now - SENT_BEFORE, now - SILENT_FOR))
        .group_by(counts.gateway)
    )
    heard = sa.select(_IN.gateway, sa.func.max(_IN.received_at)).where(_IN.received_at > now - SENT_BEFORE)
    with scene.database() as conn:
        taken = {gateway: int(count) for gateway, count in conn.execute(sent)}
        last = {row[0]: row[1] for row in conn.execute(heard.group_by(_IN.gateway))}
    for name in sorted(scene.gateways):
        door = DOORS.get(name, name)
        at = last.get(door)
        quiet = at is None or scene.now() - at > SILENT_FOR
        if taken.get(name, 0) >= ENOUGH and quiet and door in scene.webhooks:
            yield _finding(
                code="webhooks_silent",
                target=name,
                priority=Severity.HIGH,
                meaning=f"{name} took {taken[name]} messages within a day and has told nothing for an hour "
                "or more.",
                advice="See in the vendor's console whether webhooks are switched on and reach "
                "PUBLIC_BASE_URL; "
                "a firewall or an expired certificate in front of the web process shows the same.",
                evidence={"sent": taken[name], "last_heard_at": at.isoformat() if at else None},
            )


def proof(scene: Scene) -> Iterator[Finding]:
    """Count webhooks whose proof did not hold."""
    found = rejects(scene.redis, sorted(scene.webhooks), scene.now(), hours=REJECTED_HOURS)
    for gateway, by_reason in found.items():
        count = sum(by_reason.values())
        if count >= MANY_REJECTED:
            yield _finding(
                code="webhooks_rejected",
                target=gateway,
                priority=Severity.MEDIUM,
                meaning=f"{count} webhooks that claim to come from {gateway} were rejected within a day.",
                advice="Compare the secret or key that is set here with the vendor's; where they agree, "
                "somebody tries to forge them.",
                automatic="None of them had any effect.",
                evidence=by_reason,
            )


CHECKS = tuple(
    Check(name=f"webhooks_{check.__name__}", subject=SUBJECT, run=check)
    for check in (backlog, given_up, silent, proof)
)
