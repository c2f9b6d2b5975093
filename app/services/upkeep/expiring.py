"""Expiring what could not be handed to a gateway within its time."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.queue.positions import Positions
from app.services.sending.tools import Tools

# So many due messages are looked at in one statement.
AT_A_TIME = 20_000
# A lane in which many expire at once is not worked at longer than this in one go.
LONGEST = 2.0  # seconds


class Expiry:
    """Sweeps the lanes on the clock, and remembers how far it has looked in each.

    The others are expired when they are claimed, which also does it here for what a sweep has not come
    to yet: no message is sent late because of this being slow.
    """

    def __init__(self) -> None:
        self._positions = {priority: Positions() for priority in Priority}

    def sweep(self, tools: Tools) -> int:
        """Expire what is late among the next messages of each lane; gives how many. Raises Unavailable."""
        return sum(self._sweep(tools, lane) for lane in tools.lanes.values() if lane.on_clock)

    def _sweep(self, tools: Tools, lane: Lane) -> int:
        ends_at = time.monotonic() + LONGEST
        expired = 0
        while True:
            rows = self._look(tools, lane)
            some = rows[0].expired if rows else 0
            expired += some
            is_over = time.monotonic() > ends_at or tools.stopping.is_set()
            if not some or is_over or not any(row.is_full for row in rows):
                return expired

    def _look(self, tools: Tools, lane: Lane) -> Sequence[sa.Row[Any]]:
        positions = self._positions[lane.priority]
        known = positions.known()
        parameters = {
            "priority": lane.priority,
            "size": AT_A_TIME,
            "channels_at": [channel for channel, _ in known],
            "clients_at": [client for _, client in known],
            "times_at": [at for at, _ in known.values()],
            "ids_at": [message for _, message in known.values()],
        }
        with unavailable_when_down(), tools.once.connect() as conn:
            rows = run(conn, PACKAGE, "expire", parameters).all()
        positions.move(
            {(row.channel, row.client_id): (row.scheduled_for, row.id) for row in rows if row.is_full}
        )
        return rows
