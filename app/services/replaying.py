"""Replaying: dead letters back into the queue, a few at a time, each of them once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.arrays import numbers, texts
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import replays
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.dead_letter_rows import Criteria, oldest

# A replay puts back what is due within this time, and goes on when half of it is over: so it can be stopped.
AHEAD = timedelta(seconds=30)
REFILLED_AT = AHEAD / 2
FEWEST, MOST = 10, 1000
# Whoever asked does not wait longer for what matches to be found; the scheduler goes on looking.
LONGEST = 2.0  # seconds

_R = replays.c
Lanes = Mapping[Priority, Lane]


def put_back(
    conn: sa.Connection,
    lanes: Lanes,
    rows: Sequence[sa.Row[Any]],
    *,
    start: datetime,
    pause: timedelta,
    source: str,
    gateway: str | None = None,
    replay: UUID | None = None,
) -> dict[int, Priority]:
    """Put rows back that still are what they were found as, due one `pause` after the other.

    Gives the lanes of those that were put back, by id. A named gateway is tried first, and the others
    follow it as ever.
    """
    if not rows:
        return {}
    parameters = {
        "ids": numbers(row.id for row in rows),
        "priorities": texts(row.priority for row in rows),
        "found": texts(row.status for row in rows),
        "times": texts((start + number * pause).isoformat() for number in range(len(rows))),
        "ages": texts(f"{lanes[Priority(row.priority)].max_age.total_seconds()} s" for row in rows),
        "gateway": gateway,
        "source": source,
        "replay": None if replay is None else str(replay),
    }
    return {row.id: Priority(row.priority) for row in run(conn, PACKAGE, "replay", parameters)}


def advance(engine: sa.Engine, lanes: Lanes, replay: UUID) -> set[Priority]:
    """Put back what of a replay is due by now or soon; gives the lanes that something was put into.

    Ends after LONGEST, however many letters it has to look through. Where another process is at it, that
    one goes on alone. Raises Unavailable.
    """
    woken: set[Priority] = set()
    ends_at = time.monotonic() + LONGEST
    while time.monotonic() < ends_at:
        with unavailable_when_down(), engine.begin() as conn:
            lanes_of_slice = _slice(conn, lanes, replay)
        if lanes_of_slice is None:
            break
        woken |= lanes_of_slice
    return woken


def running(engine: sa.Engine) -> list[UUID]:
    """List the replays that have something left to put back now, the oldest first. Raises Unavailable."""
    query = (
        sa.select(_R.uuid)
        .where(_R.state == "running", _R.next_at < sa.func.now() + REFILLED_AT)
        .order_by(_R.created_at)
        .limit(100)
    )
    with unavailable_when_down(), engine.connect() as conn:
        return list(conn.execute(query).scalars())


def _slice(conn: sa.Connection, lanes: Lanes, uuid: UUID) -> set[Priority] | None:
    """Put the next few back; None where nothing is to be done now."""
    due = sa.select(replays, sa.func.now().label("now")).where(
        _R.uuid == uuid, _R.state == "running", _R.next_at < sa.func.now() + REFILLED_AT
    )
    replay = conn.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if replay is None:
        return None
    criteria = Criteria.read(replay.criteria)
    # What failed again after it was put back is another matter.
    criteria = replace(criteria, until=min(criteria.until or replay.created_at, replay.created_at))
    pause = timedelta(seconds=1 / replay.per_second)
    soon = max(FEWEST, min(MOST, int(AHEAD / pause)))
    # However slow it is, what does not match is passed over quickly.
    rows, edge = oldest(conn, criteria, after=replay.position, look=MOST)
    if len(rows) > soon:
        rows = rows[:soon]
        edge = rows[-1].id
    start = max(replay.now, replay.next_at)
    done = put_back(
        conn,
        lanes,
        rows,
        start=start,
        pause=pause,
        source=replay.source,
        gateway=replay.gateway,
        replay=uuid,
    )
    ended = {"state": "finished", "finished_at": sa.func.now()} if edge is None else {"position": edge}
    values = {"replayed": _R.replayed + len(done), "next_at": start + len(rows) * pause, **ended}
    conn.execute(sa.update(replays).where(_R.uuid == uuid).values(values))
    return set(done.values())
