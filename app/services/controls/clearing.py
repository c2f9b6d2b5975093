"""Clearing the queue: counted first, then cancelled in slices, and put back when it was a mistake."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import controls
from app.domain.stops import StopScope
from app.domain.vocabulary import Channel, Priority
from app.errors import Fault, Faults
from app.queue import PACKAGE
from app.services.controls.targets import resolved
from app.services.controls.views import ClearingView, WorkState

SLICE = 5_000
# Messages may move in the queue while it is walked through: it is walked until nothing is found, so often.
MOST_PASSES = 5
# An old preview says little about what would be cancelled now.
PREVIEW_HOLDS = timedelta(minutes=30)

_C = controls.c
_BEGINNING = {"at_channel": "", "at_client": -1, "at_time": "-infinity", "at_id": 0}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearFilter:
    """Which pending messages are meant; what is left out does not matter. Emergencies only where ticked.

    `client` is a name or an id, `batch` a UUID, `gateway` where a message is to go. Ages are since a message
    was accepted.
    """

    channel: Channel | None = None
    priority: Priority | None = None
    client: str | None = None
    template: str | None = None
    batch: str | None = None
    gateway: str | None = None
    source_type: str | None = None
    older_than: timedelta | None = None
    younger_than: timedelta | None = None
    including_p0: bool = False

    def faults(self) -> list[Fault]:
        """List what is wrong with it in itself."""
        faults = []
        if self.priority is Priority.P0 and not self.including_p0:
            faults.append(Fault("including_p0", "must be ticked to cancel emergencies"))
        for name in ("older_than", "younger_than"):
            age = getattr(self, name)
            if age is not None and not timedelta(0) <= age <= timedelta(days=3650):
                faults.append(Fault(name, "must be 0 seconds to ten years"))
        return faults

    def shown(self) -> dict[str, Any]:
        """Spell it as plain JSON, without what is left out."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if value is not None}


def parameters_of(
    conn: sa.Connection, wanted: ClearFilter, *, gateways: list[str], now: datetime
) -> dict[str, Any]:
    """Give the filter as its statements take it, in plain JSON; raises Invalid for all that is not there."""
    faults = Faults()

    def known(scope: StopScope, key: str | None) -> str | None:
        if key is None:
            return None
        return faults.of(resolved, conn, scope, key, gateways=gateways, field=scope.value)

    client, batch = known(StopScope.CLIENT, wanted.client), known(StopScope.BATCH, wanted.batch)
    gateway, template = known(StopScope.GATEWAY, wanted.gateway), known(StopScope.TEMPLATE, wanted.template)
    faults.end()
    lanes = [wanted.priority] if wanted.priority else list(Priority)
    return {
        "priorities": [lane.value for lane in lanes if wanted.including_p0 or lane is not Priority.P0],
        "channel": wanted.channel.value if wanted.channel else None,
        "client_id": int(client) if client else None,
        "batch_id": int(batch) if batch else None,
        "gateway": gateway,
        "template": template,
        "source_type": wanted.source_type,
        "created_before": (now - wanted.older_than).isoformat() if wanted.older_than is not None else None,
        "created_after": (now - wanted.younger_than).isoformat() if wanted.younger_than is not None else None,
        "last": conn.execute(sa.text("SELECT last_value FROM message_queue_id_seq")).scalar_one(),
    }


def count(conn: sa.Connection, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Count what the filter names now."""
    return [
        {"priority": row.priority, "channel": row.channel, "count": row.count}
        for row in run(conn, PACKAGE, "clear_count", parameters)
    ]


def go_on(engine: sa.Engine, control: int, *, source: str, until: float) -> bool:
    """Go on with a clearing, or with undoing it, until then (monotonic); tells whether it is finished.

    Each slice is one transaction with what is known of the progress, so that a call that was cut short is
    simply repeated, and two at once do no harm.
    """
    while True:
        with engine.begin() as conn:
            row = _locked(conn, control)
            if row is None:
                return True
            if row.state == WorkState.RUNNING:
                details, state = _cleared(conn, row, source)
            else:
                details, state = _undone(conn, row, source)
            conn.execute(sa.update(controls).where(_C.id == control).values(details=details, state=state))
        if state in (WorkState.DONE, WorkState.UNDONE):
            return True
        if time.monotonic() > until:
            return False


def view(row: sa.Row[Any]) -> ClearingView:
    """Show a clearing as it stands."""
    details = row.details
    return ClearingView(
        id=row.id,
        state=WorkState(row.state),
        filter=details["filter"],
        count=sum(each["count"] for each in details["counted"]),
        counted=tuple(details["counted"]),
        cancelled=details.get("cancelled", 0),
        restored=details.get("restored", 0),
        who=row.who,
        why=row.why,
        at=row.from_at,
        undone_by=row.lifted_by,
        undone_why=row.lifted_why,
    )


def _locked(conn: sa.Connection, control: int) -> sa.Row[Any] | None:
    """Lock a control that is being worked at; None where there is nothing to do, or another does it."""
    working = (WorkState.RUNNING.value, WorkState.UNDOING.value)
    query = sa.select(controls).where(_C.id == control, _C.state.in_(working))
    return conn.execute(query.with_for_update(skip_locked=True)).one_or_none()


def _cleared(conn: sa.Connection, row: sa.Row[Any], source: str) -> tuple[dict[str, Any], WorkState]:
    """Cancel one slice; gives the new details and state."""
    details = dict(row.details)
    meant = details["parameters"]
    position = details.get("position") or {"lane": 0, "pass": 1, "found": 0, **_BEGINNING}
    lane = meant["priorities"][position["lane"]] if position["lane"] < len(meant["priorities"]) else None
    if lane is None:
        again = position["found"] and position["pass"] < MOST_PASSES
        details["position"] = {"lane": 0, "pass": position["pass"] + 1, "found": 0, **_BEGINNING}
        return details, WorkState.RUNNING if again else WorkState.DONE
    place = {name: position[name] for name in _BEGINNING}
    parameters = {**meant, **place, "priority": lane, "size": SLICE, "source": source, "control": row.id}
    end = run(conn, PACKAGE, "clear_slice", parameters).one_or_none()
    if end is None:
        details["position"] = {**position, **_BEGINNING, "lane": position["lane"] + 1}
        return details, WorkState.RUNNING
    details["cancelled"] = details.get("cancelled", 0) + end.changed
    details["position"] = {
        **position,
        "found": position["found"] + end.changed,
        "at_channel": end.channel,
        "at_client": end.client_id,
        "at_time": end.scheduled_for.isoformat(),
        "at_id": end.id,
    }
    return details, WorkState.RUNNING


def _undone(conn: sa.Connection, row: sa.Row[Any], source: str) -> tuple[dict[str, Any], WorkState]:
    """Restore one slice; gives the new details and state."""
    details = dict(row.details)
    parameters = {"control": row.id, "size": SLICE, "source": source}
    done = run(conn, PACKAGE, "undo_slice", parameters).one()
    details["restored"] = details.get("restored", 0) + done.changed
    return details, WorkState.UNDOING if done.looked else WorkState.UNDONE


def _plain(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
