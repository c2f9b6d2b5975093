"""Sequences as callers see them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.tables import message_queue, sequence_messages, sequence_steps, sequences
from app.domain.callers import Caller
from app.domain.vocabulary import Channel, Status
from app.errors import NotFound
from app.services.following import Until

_S, _T, _M = sequences.c, sequence_steps.c, sequence_messages.c


@dataclass(frozen=True, kw_only=True, slots=True)
class StepMessage:
    """A message of a step, and how it fares; null where it was removed after its time."""

    uuid: UUID
    status: Status | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """One step. `state` is waiting, sent, skipped (an earlier one has arrived), failed or cancelled.

    A push to a person may be several messages, one for each device. `error` says why it failed.
    """

    position: int
    channel: Channel
    until: Until
    after: timedelta
    due_at: datetime
    state: str
    error: str | None
    messages: tuple[StepMessage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SequenceView:
    """A sequence. `state` is running, finished (all steps had their turn), stopped (reached) or cancelled."""

    uuid: UUID
    state: str
    created_at: datetime
    finished_at: datetime | None
    steps: tuple[StepView, ...]


def read(conn: sa.Connection, caller: Caller, uuid: UUID) -> SequenceView:
    """Read a sequence as this transaction sees it; raises NotFound."""
    mine = sa.true() if caller.may("admin") else _S.client_id == caller.client_id
    row = conn.execute(sa.select(sequences).where(_S.uuid == uuid, mine)).one_or_none()
    if row is None:
        raise NotFound("there is no such sequence")
    steps = conn.execute(
        sa.select(sequence_steps).where(_T.sequence_id == row.id).order_by(_T.position)
    ).all()
    messages = _messages(conn, row.id)
    return SequenceView(
        uuid=row.uuid,
        state=row.state,
        created_at=row.created_at,
        finished_at=row.finished_at,
        steps=tuple(_step(step, messages.get(step.position, ())) for step in steps),
    )


def _messages(conn: sa.Connection, sequence: int) -> dict[int, tuple[StepMessage, ...]]:
    queue = message_queue.c
    same = sa.and_(queue.priority == _M.message_priority, queue.id == _M.message_id)
    query = (
        sa.select(_M.position, _M.message_uuid, queue.status)
        .select_from(sequence_messages.outerjoin(message_queue, same))
        .where(_M.sequence_id == sequence)
        .order_by(_M.position, _M.message_id)
    )
    found: dict[int, tuple[StepMessage, ...]] = {}
    for row in conn.execute(query):
        status = Status(row.status) if row.status else None
        message = StepMessage(uuid=row.message_uuid, status=status)
        found[row.position] = (*found.get(row.position, ()), message)
    return found


def _step(row: sa.Row[Any], messages: tuple[StepMessage, ...]) -> StepView:
    return StepView(
        position=row.position,
        channel=Channel(row.channel),
        until=row.until,
        after=row.after,
        due_at=row.due_at,
        state=row.state,
        error=row.error,
        messages=messages,
    )
