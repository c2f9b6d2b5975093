"""Whether messages leave in time, and nothing is stuck on its way."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import claims, message_batches, message_queue
from app.domain.vocabulary import ClaimState, OutcomeClass, Priority, Status
from app.queue import PACKAGE
from app.services.dead_letter_rows import Criteria, reasons
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "queues"

COUNTED = 10_000
# A lane that has used so much of its time up will not make it by itself.
WARNED = 0.5
# A claim whose lease is over is released within a second to a minute.
LAPSED_FOR = timedelta(minutes=3)
LOST_WITHIN = timedelta(hours=1)
BATCH_STILL_FOR = timedelta(minutes=10)
_AT_MOST = 1_000

_NOT_THE_RECIPIENTS = frozenset(
    {OutcomeClass.CONTENT, OutcomeClass.CONFIG, OutcomeClass.THROTTLE, OutcomeClass.TRANSIENT}
)
_HEAVY = {Priority.P0, Priority.P1, Priority.P4}

_finding = partial(Finding, subject=SUBJECT)


def lanes(scene: Scene) -> Iterator[Finding]:
    """Compare the age of each lane's oldest due message with the lane's limit."""
    parameters = {"priorities": [priority.value for priority in Priority], "counted": COUNTED}
    with scene.database() as conn:
        rows = run(conn, PACKAGE, "lane_depths", parameters).all()
    for row in rows:
        priority = Priority(row.priority)
        limit = scene.settings.lanes[priority].max_age
        if row.oldest_age is None or row.oldest_age < limit * WARNED:
            continue
        over = row.oldest_age > limit
        yield _finding(
            code="lane_over_limit" if over else "lane_near_limit",
            target=priority.value,
            priority=_priority(priority, over=over),
            meaning=f"The oldest due {priority.value} message has waited {_minutes(row.oldest_age)}; the "
            "limit "
            f"is {_minutes(limit)}.",
            advice="See workers, gateways and limits below; raise the lane's threads where all of them are "
            "well.",
            automatic="What is too late expires, with an event; P2 and P3 get time back that we made them "
            "wait.",
            evidence={
                "due": row.due,
                "oldest_seconds": round(row.oldest_age.total_seconds()),
                "limit_seconds": round(limit.total_seconds()),
            },
        )


def stuck(scene: Scene) -> Iterator[Finding]:
    """Look for claims whose lease is over and that nobody has released."""
    lapsed = (claims.c.state != ClaimState.CLOSED.value) & (claims.c.lease_until < sa.func.now() - LAPSED_FOR)
    some = sa.select(claims.c.priority, claims.c.size).where(lapsed).limit(_AT_MOST).subquery()
    query = sa.select(some.c.priority, sa.func.count(), sa.func.sum(some.c.size)).group_by(some.c.priority)
    with scene.database() as conn:
        rows = conn.execute(query.order_by(some.c.priority)).all()
    for priority, count, messages in rows:
        yield _finding(
            code="claims_stuck",
            target=priority,
            priority=Severity.HIGH,
            meaning=f"{count} claims of {priority} with up to {messages} messages lost their worker and were "
            "not released.",
            advice="See whether scheduler and the lane's workers run; the release is theirs.",
            automatic="Lapsed claims are released within a minute as long as both run.",
            evidence={"claims": count, "messages": int(messages)},
        )


def held(scene: Scene) -> Iterator[Finding]:
    """Count messages of which nobody knows whether they were sent."""
    table = message_queue.c
    for priority in Priority:
        mine = (table.priority == priority.value) & (table.status == Status.HELD.value)
        few = sa.select(table.id).where(mine).limit(COUNTED).subquery()
        with scene.database() as conn:
            count = conn.scalar(sa.select(sa.func.count()).select_from(few))
        if count:
            yield _finding(
                code="held_messages",
                target=priority.value,
                priority=Severity.MEDIUM,
                meaning=f"Held messages of {priority.value}: {count}. Perhaps they were sent, perhaps not.",
                advice="See Unknown outcomes in the console, ask the gateway, and say what became of them.",
                automatic="Proof by webhook settles them; else they are decided when their time is over.",
                evidence={"count": count},
            )


def lost(scene: Scene) -> Iterator[Finding]:
    """Count what was given up within the hour by no fault of its recipient: expired, or refused for good."""
    criteria = Criteria(statuses=(Status.EXPIRED, Status.FAILED), since=scene.now() - LOST_WITHIN)
    with scene.database() as conn:
        rows = [row for row in conn.execute(reasons(criteria)) if row.matched]
    expired = sum(row.matched for row in rows if row.status == Status.EXPIRED.value)
    if expired:
        yield _finding(
            code="messages_expired",
            priority=Severity.HIGH,
            meaning=f"{expired} messages expired within the last hour before they were sent.",
            advice="See Dead letters in the console; replay what is still of use, once what kept it back is "
            "mended.",
            evidence={"count": expired},
        )
    ours = [row for row in rows if row.last_error_class in _NOT_THE_RECIPIENTS]
    if ours:
        failed, most = sum(row.matched for row in ours), ours[0]
        through = f" at {most.gateway}" if most.gateway else ""
        yield _finding(
            code="messages_failed",
            priority=Severity.MEDIUM,
            meaning=f"{failed} messages failed for good within the last hour, by no fault of their "
            f"recipients; most of them {most.last_error_class} errors{through}.",
            advice="See Dead letters in the console by reason; mend it, then replay them.",
            evidence={"count": failed, "class": most.last_error_class, "gateway": most.gateway},
        )


def batches(scene: Scene) -> Iterator[Finding]:
    """Look for accepted bulk requests that nobody turns into messages."""
    table = message_batches.c
    old = table.accepted_at < sa.func.now() - BATCH_STILL_FOR
    waiting = table.state == "accepted"
    query = sa.select(sa.func.count()).select_from(
        sa.select(table.id).where(waiting & old).limit(_AT_MOST).subquery()
    )
    with scene.database() as conn:
        count = conn.scalar(query)
    if count:
        yield _finding(
            code="batches_not_expanded",
            priority=Severity.HIGH,
            meaning=f"{count} accepted bulk requests have waited ten minutes or more for their first "
            "message.",
            advice="See whether the lane's workers run.",
            automatic="The scheduler wakes them every five seconds.",
            evidence={"count": count},
        )


def _priority(priority: Priority, *, over: bool) -> Severity:
    if over:
        return Severity.CRITICAL if priority in _HEAVY else Severity.HIGH
    return Severity.HIGH if priority in _HEAVY else Severity.MEDIUM


def _minutes(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - Two minutes.


CHECKS = tuple(
    Check(name=f"queues_{check.__name__}", subject=SUBJECT, run=check)
    for check in (lanes, stuck, held, lost, batches)
)
