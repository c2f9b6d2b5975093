"""Stops, and all uses of emergency procedures, as operators and the audit log see them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.domain.stops import StopScope
from app.services.controls import stopping
from app.services.controls.targets import spelled
from app.services.controls.views import ControlView, Procedure, StopView


def now_of(conn: sa.Connection) -> datetime:
    """Tell the database's time, by which stops begin and end."""
    now: datetime = conn.execute(sa.select(sa.func.now())).scalar_one()
    return now


def shown(conn: sa.Connection, row: sa.Row[Any], now: datetime, *, counting: bool) -> StopView:
    """Show a stop; `counting` what waits because of it takes a look at the queue."""
    key = spelled(conn, StopScope(row.scope), row.scope_key)
    return stopping.view(row, key, now, stopping.waiting_for(conn, row) if counting else None)


def used(conn: sa.Connection, row: sa.Row[Any], now: datetime) -> ControlView:
    """Show one use of a procedure."""
    details = {name: value for name, value in row.details.items() if name not in ("parameters", "position")}
    state = row.state
    if row.procedure == Procedure.STOP:
        stop = shown(conn, row, now, counting=False)
        details, state = for_audit(stop), stop.state.value
    return ControlView(
        id=row.id,
        procedure=Procedure(row.procedure),
        state=state,
        who=row.who,
        why=row.why,
        at=row.from_at,
        details=details,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lifted_why=row.lifted_why,
    )


def for_audit(view: StopView) -> dict[str, Any]:
    """Spell a stop as plain JSON."""
    return {
        "scope": view.scope.value,
        "key": view.key,
        "including_p0": view.including_p0,
        "since": view.since.isoformat(),
        "until": view.until.isoformat() if view.until else None,
        "resume_over": view.resume_over.total_seconds() if view.resume_over else None,
    }
