"""Removing what was kept long enough, a little at a time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import (
    batch_rejects,
    batch_staging,
    claims,
    device_tokens,
    event_keys,
    inbound_messages,
    job_runs,
    lane_holds,
    lookups,
    message_batches,
    message_queue,
    parked_events,
    replays,
    webhook_inbox,
)
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.bulk_upkeep import remove_expired_keys
from app.services.sending.tools import Tools
from app.services.upkeep.incoming import PARKED_FOR

AT_A_TIME = 1000
# Between two removals others have the disk for themselves.
PAUSE = 0.01  # seconds
LONGEST = timedelta(minutes=10)

# A gateway may tell a fact again after its message is gone; it must still be known as told.
KEYS_OUTLIVE = timedelta(days=7)
CLAIMS_KEPT = timedelta(days=1)
RUNS_KEPT = timedelta(hours=1)
# A message that was asked about is held for hours at most.
LOOKUPS_KEPT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Leftover:
    """Rows of one table that may go: those of `old`, found by their `key`."""

    key: tuple[sa.Column[Any], ...]
    old: sa.ColumnElement[bool]

    @property
    def name(self) -> str:
        return str(self.key[0].table)

    def some(self) -> sa.Select[Any]:
        """Select the keys of the next few, and lock them."""
        return sa.select(*self.key).where(self.old).limit(AT_A_TIME).with_for_update(skip_locked=True)


def clean_up(tools: Tools, retention: timedelta) -> str:
    """Remove what is older than it is kept; tells how much of what. Raises Unavailable.

    Never longer than LONGEST: what is left is removed the next time.
    """
    ends_at = time.monotonic() + LONGEST.total_seconds()
    removed = {"message_queue": sum(_messages(tools, p, retention, ends_at) for p in Priority)}
    for leftover in _leftovers(retention):
        removed[leftover.name] = _remove(tools, leftover, ends_at)
    removed["idempotency_keys"] = remove_expired_keys(tools.engine)
    removed["bodies erased"] = _erase(tools, retention, ends_at)
    return ", ".join(f"{name} {count}" for name, count in removed.items() if count)


def drop_parked(tools: Tools) -> int:
    """Drop facts whose message never turned up; gives how many. Raises Unavailable."""
    leftover = _Leftover(key=(parked_events.c.id,), old=parked_events.c.recorded_at < _ago(PARKED_FOR))
    return _remove(tools, leftover, time.monotonic() + LONGEST.total_seconds())


def forget_runs(tools: Tools, frequent: Sequence[str]) -> int:
    """Remove what is known of old runs of the jobs that are `frequent`; gives how many."""
    old = sa.and_(job_runs.c.job.in_(frequent), job_runs.c.slot < _ago(RUNS_KEPT))
    leftover = _Leftover(key=(job_runs.c.job, job_runs.c.slot), old=old)
    return _remove(tools, leftover, time.monotonic() + LONGEST.total_seconds())


def _leftovers(retention: timedelta) -> tuple[_Leftover, ...]:
    batches, inbox, holds = message_batches.c, webhook_inbox.c, lane_holds.c
    of_batch = sa.and_(message_queue.c.priority == batches.priority, message_queue.c.batch_id == batches.id)
    finished = sa.select(batches.id).where(batches.finished_at < _ago(retention))
    empty = [sa.exists().where(of_batch), sa.exists().where(batch_staging.c.batch_id == batches.id)]
    return (
        _Leftover(
            key=(claims.c.uuid,),
            old=sa.and_(claims.c.state == "closed", claims.c.lease_until < _ago(CLAIMS_KEPT)),
        ),
        _Leftover(
            key=(batch_rejects.c.batch_id, batch_rejects.c.line), old=batch_rejects.c.batch_id.in_(finished)
        ),
        _Leftover(
            key=(batches.id,), old=sa.and_(batches.finished_at < _ago(retention), *(~each for each in empty))
        ),
        _Leftover(key=(event_keys.c.key,), old=event_keys.c.recorded_at < _ago(retention + KEYS_OUTLIVE)),
        _Leftover(
            key=(inbox.id,),
            old=sa.and_(inbox.processed_at.is_not(None), inbox.received_at < _ago(retention + KEYS_OUTLIVE)),
        ),
        _Leftover(
            key=(lookups.c.message_id, lookups.c.priority), old=lookups.c.asked_at < _ago(LOOKUPS_KEPT)
        ),
        _Leftover(key=(replays.c.uuid,), old=replays.c.finished_at < _ago(retention)),
        _Leftover(key=(inbound_messages.c.id,), old=inbound_messages.c.received_at < _ago(retention)),
        _Leftover(key=(device_tokens.c.id,), old=device_tokens.c.deactivated_at < _ago(retention)),
        _Leftover(key=(job_runs.c.job, job_runs.c.slot), old=job_runs.c.slot < _ago(retention)),
        _Leftover(
            key=(holds.priority, holds.channel, holds.held_from), old=holds.held_until < _ago(retention)
        ),
    )


def _messages(tools: Tools, priority: Priority, kept: timedelta, ends_at: float) -> int:
    removed, after = 0, 0
    while _goes_on(tools, ends_at):
        parameters = {"priority": priority, "after": after, "kept": kept, "limit": AT_A_TIME}
        with unavailable_when_down(), tools.once.connect() as conn:
            row = run(conn, PACKAGE, "remove_messages", parameters).one()
        removed += row.removed
        if row.last is None:
            break
        after = row.last
    return removed


def _remove(tools: Tools, leftover: _Leftover, ends_at: float) -> int:
    some = leftover.some().cte("some").prefix_with("MATERIALIZED")
    statement = sa.delete(leftover.key[0].table).where(sa.tuple_(*leftover.key).in_(sa.select(*some.columns)))
    return _repeat(tools, statement, ends_at)


def _erase(tools: Tools, retention: timedelta, ends_at: float) -> int:
    """Erase what was sent to us as it came; that something came, and when, stays for a while."""
    inbox = webhook_inbox.c
    old = sa.and_(
        inbox.processed_at.is_not(None), inbox.erased_at.is_(None), inbox.received_at < _ago(retention)
    )
    some = sa.select(inbox.id).where(old).limit(AT_A_TIME).with_for_update(skip_locked=True)
    statement = (
        sa.update(webhook_inbox)
        .where(inbox.id.in_(some))
        .values(body=None, headers={}, url="", erased_at=sa.func.now())
    )
    return _repeat(tools, statement, ends_at)


def _repeat(tools: Tools, statement: sa.Delete | sa.Update, ends_at: float) -> int:
    done = 0
    while _goes_on(tools, ends_at):
        with unavailable_when_down(), tools.once.connect() as conn:
            some = conn.execute(statement).rowcount
        done += some
        if some < AT_A_TIME:
            break
    return done


def _goes_on(tools: Tools, ends_at: float) -> bool:
    return time.monotonic() < ends_at and not tools.stopping.wait(PAUSE)


def _ago(length: timedelta) -> sa.ColumnElement[Any]:
    return sa.func.now() - length
