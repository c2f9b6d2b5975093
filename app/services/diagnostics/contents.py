"""Templates whose messages cannot be rendered."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from app.db.tables import message_batches, message_queue
from app.domain.vocabulary import OutcomeClass, Priority, Status
from app.services.diagnostics.checking import Check, Scene
from app.services.diagnostics.findings import Finding, Severity

SUBJECT = "templates"

WITHIN = timedelta(hours=24)
# Of each lane's failures the newest are looked at: enough to see which template is at fault.
LOOKED_AT = 5_000

_finding = partial(Finding, subject=SUBJECT)


def failing(scene: Scene) -> Iterator[Finding]:
    """Count what failed for what it says, by template."""
    counts: dict[str, int] = {}
    for priority in Priority:
        with scene.database() as conn:
            for row in conn.execute(_faults(priority)):
                counts[row.name] = counts.get(row.name, 0) + row.failed
    for name, count in sorted(counts.items()):
        yield _finding(
            code="template_fails",
            target=name,
            priority=Severity.HIGH,
            meaning=f"Messages of the template `{name}` that failed within a day for what they say: {count}. "
            "They could not be rendered, or the gateway refused their content.",
            advice="Preview it with the data of one of the failed messages; mend it, activate the new "
            "version, then replay them.",
            evidence={"failed": count, "hours": WITHIN // timedelta(hours=1)},
        )


def _faults(priority: Priority) -> sa.Select[Any, Any]:
    table = message_queue.c
    newest = (
        sa.select(table.template, table.batch_id, table.last_error_class, table.updated_at)
        .where(table.priority == priority.value, table.status == Status.FAILED.value)
        .order_by(table.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    name = sa.func.coalesce(newest.c.template, message_batches.c.template)
    return (
        sa.select(name.label("name"), sa.func.count().label("failed"))
        .select_from(newest.outerjoin(message_batches, message_batches.c.id == newest.c.batch_id))
        .where(
            newest.c.last_error_class == OutcomeClass.CONTENT.value,
            newest.c.updated_at > sa.func.now() - WITHIN,
            name.is_not(None),
        )
        .group_by(name)
    )


CHECKS = (Check(name="templates_failing", subject=SUBJECT, run=failing),)
