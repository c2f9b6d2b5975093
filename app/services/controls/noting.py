"""Each use of an emergency procedure is written down, counted and said (EmergencyControlUsed)."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import structlog

from app.db.tables import controls
from app.errors import Fault, Invalid
from app.services import metrics
from app.services.audit import Who, record
from app.services.controls.views import Procedure

log = structlog.get_logger(__name__)

LONGEST_REASON = 1000


def require_reason(why: str, *faults: Fault) -> None:
    """Raise Invalid with these faults, and one more where nobody says why."""
    found = list(faults)
    if not why.strip():
        found.append(Fault("why", "is missing: say why, for those who look at it afterwards"))
    elif len(why) > LONGEST_REASON:
        found.append(Fault("why", f"has more than {LONGEST_REASON} characters"))
    if found:
        raise Invalid(found)


def insert(conn: sa.Connection, who: Who, procedure: Procedure, *, why: str, **columns: Any) -> sa.Row[Any]:
    """Write a control's row and give it."""
    values = {"procedure": procedure.value, "who": who.actor, "why": why, **columns}
    return conn.execute(sa.insert(controls).values(values).returning(*controls.c)).one()


def audited(
    conn: sa.Connection,
    who: Who,
    action: str,
    control: int,
    *,
    why: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write the line of the audit log, in the transaction of the change."""
    target = f"control:{control}"
    record(conn, who, f"emergency.{action}", target, before=before, after=after, why=why)


def said(who: Who, action: str, control: int, **about: Any) -> None:
    """Count it and say it in one line, once it is committed."""
    metrics.count_emergency(action)
    log.warning("emergency control used", procedure=action, control=control, who=who.actor, **about)
