"""Claims: a worker's right to a set of messages for as long as its lease lasts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.vocabulary import ClaimState, Priority
from app.queue import PACKAGE
from app.queue.positions import Flow, Position, Positions
from app.queue.rows import Claimed

# Each statement gives the claim, its state, and then the columns of the message.
_AFTER = 2 + len(Claimed._fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Messages that one worker may send. `own` claims are this worker's already."""

    uuid: UUID
    priority: Priority
    own: bool
    messages: tuple[Claimed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Harvest:
    """What one look at the lane gave. After a `full` one there probably is more."""

    claims: tuple[Claim, ...]
    full: bool


def claim(
    conn: sa.Connection,
    lane: Lane,
    own: UUID,
    *,
    channels: Sequence[str],
    worker: str,
    positions: Positions,
    from_beginning: bool = False,
    without_clients: Sequence[int] = (),
) -> Harvest:
    """Claim up to about `lane.claim_size` due messages on these channels, fairly between callers.

    `own` becomes the id of the claim that is this worker's at once: its ledger must be open already.
    The lane is read on from `positions`, or from its beginning. Commit before anything is sent.
    """
    known = {} if from_beginning else positions.known()
    rows = run(
        conn,
        PACKAGE,
        "claim",
        {
            "priority": lane.priority,
            "channels": list(channels),
            "stopped_clients": list(without_clients),
            "on_clock": lane.on_clock,
            "claim": own,
            "size": lane.claim_size,
            "worker": worker,
            "lease": lane.lease,
            "channels_at": [channel for channel, _ in known],
            "clients_at": [client for _, client in known],
            "times_at": [at for at, _ in known.values()],
            "ids_at": [message for _, message in known.values()],
        },
    ).all()
    claims = _grouped(rows, lane.priority)
    full = _full_flows(claims, rows[0].quota) if rows else {}
    positions.move(full)
    return Harvest(claims=claims, full=bool(full))


def claim_these(
    conn: sa.Connection, lane: Lane, own: UUID, messages: Sequence[int], *, worker: str
) -> Claim | None:
    """Claim the named messages where they still are pending and due; None where none is."""
    parameters = {
        "priority": lane.priority,
        "claim": own,
        "ids": list(messages),
        "worker": worker,
        "lease": lane.lease,
    }
    claims = _grouped(run(conn, PACKAGE, "claim_these", parameters).all(), lane.priority)
    return claims[0] if claims else None


def take_over(conn: sa.Connection, lane: Lane, claim: UUID, *, worker: str) -> Claim | None:
    """Take a waiting claim over; None where another worker has it or its lease is over."""
    parameters = {"priority": lane.priority, "claim": claim, "worker": worker, "lease": lane.lease}
    claims = _grouped(run(conn, PACKAGE, "take_over", parameters).all(), lane.priority)
    return claims[0] if claims else None


def renew(conn: sa.Connection, lane: Lane, claim: UUID, *, worker: str, marks: Sequence[int] = ()) -> bool:
    """Lengthen the lease; False where the claim is no longer this worker's.

    `marks` are messages about to be started while the ledger cannot be reached.
    """
    parameters = {"claim": claim, "worker": worker, "lease": lane.lease, "marks": list(marks)}
    return run(conn, PACKAGE, "renew", parameters).one_or_none() is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lapsed:
    """A claim whose worker is gone or too slow. `marked` were started while there was no ledger."""

    uuid: UUID
    state: ClaimState
    marked: frozenset[int]


def take_lapsed(conn: sa.Connection, lane: Lane, *, worker: str, limit: int) -> list[Lapsed]:
    """Take up to `limit` claims with a lapsed lease away from their workers."""
    parameters = {"priority": lane.priority, "worker": worker, "lease": lane.lease, "limit": limit}
    return [
        Lapsed(uuid=row.uuid, state=ClaimState(row.state), marked=frozenset(row.marked))
        for row in run(conn, PACKAGE, "lapsed", parameters)
    ]


def still_processing(conn: sa.Connection, lane: Lane, claim: UUID) -> list[Claimed]:
    """Give the messages that a claim still holds."""
    rows = run(conn, PACKAGE, "still_processing", {"priority": lane.priority, "claim": claim})
    return [Claimed._make(row) for row in rows]


def _grouped(rows: Sequence[tuple[Any, ...]], priority: Priority) -> tuple[Claim, ...]:
    ordered = sorted(rows, key=itemgetter(0, 2))
    return tuple(
        _claim(uuid, priority, list(members)) for uuid, members in groupby(ordered, key=itemgetter(0))
    )


def _claim(uuid: UUID, priority: Priority, rows: Sequence[tuple[Any, ...]]) -> Claim:
    return Claim(
        uuid=uuid,
        priority=priority,
        own=rows[0][1] == ClaimState.SENDING,
        messages=tuple(Claimed._make(row[2:_AFTER]) for row in rows),
    )


def _full_flows(claims: Iterable[Claim], quota: int) -> dict[Flow, Position]:
    flows: dict[Flow, list[Position]] = {}
    for claim in claims:
        for message in claim.messages:
            position = (message.scheduled_for, message.id)
            flows.setdefault((message.channel, message.client_id), []).append(position)
    return {flow: max(positions) for flow, positions in flows.items() if len(positions) >= quota}
