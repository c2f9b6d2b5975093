"""Stops: pressing them, lifting them, telling what is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import batch_deltas, controls, message_batches
from app.domain.stops import Stop, StopScope
from app.domain.vocabulary import Priority, Status
from app.errors import Fault
from app.queue import PACKAGE
from app.services.controls.views import Procedure, StopState, StopView, Waiting
from app.services.sending.withholding import reason

# So far is looked into each caller's messages on a channel for what waits, and so far into all of them.
COUNTED = 10_000
LOOKED = 20_000
LONGEST_RAMP = timedelta(days=1)
LONGEST_STOP = timedelta(days=3650)

_C = controls.c


@dataclass(frozen=True, kw_only=True, slots=True)
class StopDraft:
    """A stop that is wanted. Without `since` it holds at once, without `until` until it is lifted.

    `resume_over` lets sending grow from a tenth to all of its usual rate over that time after `until`.
    """

    scope: StopScope
    key: str | None = None
    including_p0: bool = False
    since: datetime | None = None
    until: datetime | None = None
    resume_over: timedelta | None = None


def faults_of(draft: StopDraft, now: datetime) -> list[Fault]:
    """List what is wrong with a draft in itself."""
    faults = []
    if (draft.scope is StopScope.ALL) != (draft.key is None):
        word = (
            "is for stops of a single thing" if draft.key is not None else f"is missing: which {draft.scope}?"
        )
        faults.append(Fault("key", word))
    if draft.scope is StopScope.PRIORITY and draft.key == Priority.P0 and not draft.including_p0:
        faults.append(Fault("including_p0", "must be ticked to stop emergencies"))
    if draft.until is not None and draft.until <= (draft.since or now):
        faults.append(Fault("until", "must be later than now, and than the beginning"))
    for name in ("since", "until"):
        time = getattr(draft, name)
        if time is not None and abs(time - now) > LONGEST_STOP:
            faults.append(Fault(name, "is years away"))
    return faults + ramp_faults(draft.resume_over)


def ramp_faults(over: timedelta | None) -> list[Fault]:
    """List what is wrong with a time over which sending is to grow."""
    if over is not None and not timedelta(0) <= over <= LONGEST_RAMP:
        return [Fault("resume_over", f"must be 0 to {LONGEST_RAMP // timedelta(seconds=1)} seconds")]
    return []


def living(conn: sa.Connection) -> Sequence[sa.Row[Any]]:
    """List the rows of stops that are in force, to come, or growing again."""
    alive = [row.id for row in run(conn, PACKAGE, "known_stops", {}) if row.id is not None]
    return conn.execute(sa.select(controls).where(_C.id.in_(alive)).order_by(_C.id)).all()


def find(
    conn: sa.Connection, *, ids: Sequence[int] | None, scope: StopScope | None, key: str | None
) -> list[sa.Row[Any]]:
    """List and lock the stops that may be lifted: all, those of these ids, or those about one thing."""
    now = sa.func.now()
    query = sa.select(controls).where(
        _C.procedure == Procedure.STOP.value,
        _C.lifted_at.is_(None),
        sa.or_(_C.until_at.is_(None), _C.until_at > now),
    )
    if ids is not None:
        query = query.where(_C.id.in_(ids))
    if scope is not None:
        query = query.where(_C.scope == scope.value, _C.scope_key.is_not_distinct_from(key))
    return list(conn.execute(query.order_by(_C.id).with_for_update()).all())


def lift(
    conn: sa.Connection, ids: Sequence[int], who: str, why: str, over: timedelta | None
) -> list[sa.Row[Any]]:
    """End these stops now; sending grows `over` that time."""
    statement = (
        sa.update(controls)
        .where(_C.id.in_(ids))
        .values(lifted_at=sa.func.now(), lifted_by=who, lifted_why=why, ramp=over or None)
        .returning(*_C)
    )
    return list(conn.execute(statement).all())


def stop_of(row: sa.Row[Any]) -> Stop:
    """Read a stop out of its row."""
    ends = [time for time in (row.lifted_at, row.until_at) if time is not None]
    end = min(ends) if ends else None
    return Stop(
        id=row.id,
        scope=StopScope(row.scope),
        key=row.scope_key,
        includes_p0=row.includes_p0,
        begins_at=row.from_at,
        ends_at=end,
        ramp_until=end + row.ramp if end and row.ramp else None,
    )


def view(row: sa.Row[Any], key: str | None, now: datetime, waiting: Waiting | None = None) -> StopView:
    """Show a stop as it stands."""
    stop = stop_of(row)
    return StopView(
        id=row.id,
        scope=stop.scope,
        key=key,
        including_p0=row.includes_p0,
        state=_state(stop, now),
        share=stop.share(now),
        who=row.who,
        why=row.why,
        since=row.from_at,
        until=row.until_at,
        resume_over=row.ramp,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
        lifted_why=row.lifted_why,
        waiting=waiting.due if waiting else None,
        later=waiting.later if waiting else None,
        at_least=waiting.at_least if waiting else None,
    )


def waiting_for(conn: sa.Connection, row: sa.Row[Any]) -> Waiting:
    """Count what waits because of a stop."""
    return would_wait(
        conn, StopScope(row.scope), row.scope_key, includes_p0=row.includes_p0, reason=reason(row.id)
    )


def would_wait(
    conn: sa.Connection, scope: StopScope, key: str | None, *, includes_p0: bool, reason: str | None = None
) -> Waiting:
    """Count what a stop would keep from leaving, in bounded time; `key` is as it is kept.

    `reason` is what is written at messages that were put back for the stop, where there is one already.
    """
    if scope is StopScope.BATCH:
        return _of_batch(conn, int(key or 0))
    parameters = {
        "scope": scope.value,
        "key": key,
        "includes_p0": includes_p0,
        "reason": reason,
        "counted": COUNTED,
        "looked": LOOKED,
    }
    row = run(conn, PACKAGE, "stop_waiting", parameters).one()
    return Waiting(due=min(row.waiting, COUNTED), later=min(row.later, COUNTED), at_least=row.cut)


def _of_batch(conn: sa.Connection, batch: int) -> Waiting:
    """Take a batch's own counts, and what is still to become messages."""
    table, delta = message_batches.c, batch_deltas.c
    changed = sa.select(sa.func.coalesce(sa.func.sum(delta.change), 0)).where(
        delta.batch_id == table.id, delta.status == Status.PENDING.value
    )
    staged = sa.func.greatest(sa.func.coalesce(table.last_line, 0) - table.expanded_line, 0)
    query = sa.select(
        (table.pending + changed.scalar_subquery() + staged).label("number"),
        sa.func.coalesce(table.scheduled_for > sa.func.now(), sa.false()).label("is_later"),
    ).where(table.id == batch)
    row = conn.execute(query).one_or_none()
    number = max(int(row.number), 0) if row else 0
    is_later = bool(row and row.is_later)
    return Waiting(due=0 if is_later else number, later=number if is_later else 0, at_least=False)


def _state(stop: Stop, now: datetime) -> StopState:
    if now < stop.begins_at and (stop.ends_at is None or now < stop.ends_at):
        return StopState.SCHEDULED
    share = stop.share(now)
    if share == 0:
        return StopState.IN_FORCE
    return StopState.RESUMING if share < 1 else StopState.ENDED
