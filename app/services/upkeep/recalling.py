"""Calling back what waits longer than it must: a stop has ended, or more may be sent than before."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import controls, lane_flows
from app.domain.stops import FLOW_SCOPES, StopScope
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.controls.views import Procedure
from app.services.sending.tools import Tools
from app.services.sending.withholding import PARKED, SPREAD, reason
from app.services.upkeep.growing import Growing, Return

# A run of the job is not longer; the next one goes on.
LONGEST = 2.0  # seconds
SLICE = 5_000
# Whoever was about to put a message back when a stop ended has done so by then.
LATECOMERS = timedelta(minutes=1)
_PARKED_SCOPES = tuple(scope.value for scope in StopScope if scope not in FLOW_SCOPES)

_C = controls.c


class Recall:
    """Calls back what was put back for a stop that has ended, and what waits for what has grown since.

    Remembers how far it has looked; forgetting that costs time, never a message.
    """

    def __init__(self) -> None:
        self._growing = Growing()
        self._done: set[int] = set()
        self._flows: list[sa.Row[Any]] = []
        self._position: dict[str, Any] = {}
        self._old: set[int] = set()
        self._returns: list[Return] = []

    def run(self, tools: Tools) -> int:
        """Look at the next messages that wait for later; gives how many come sooner. Raises Unavailable."""
        ends_at = time.monotonic() + LONGEST
        with unavailable_when_down(), tools.once.connect() as conn:
            self._growing.look(tools)
            if not self._flows:
                self._begin(conn)
            recalled = 0
            while self._flows and time.monotonic() < ends_at and not tools.stopping.is_set():
                recalled += self._slice(tools, conn)
        if recalled:
            for priority in Priority:
                tools.wake.lane(priority, sweep=True)
        return recalled

    def _begin(self, conn: sa.Connection) -> None:
        """Start anew for what has ended or grown lately, where there is any."""
        stops = [row for row in _ended(conn) if row.id not in self._done]
        self._old = {row.id for row in stops if row.is_old}
        ended = [Return(like=reason(row.id), seconds=max(float(row.growing), 0.0)) for row in stops]
        self._returns = [*ended, *self._growing.due()]
        if self._returns:
            self._flows = list(conn.execute(sa.select(lane_flows)).all())
            self._position = _BEGINNING

    def _slice(self, tools: Tools, conn: sa.Connection) -> int:
        flow = self._flows[0]
        returns = [each for each in self._returns if each.channel in (None, flow.channel)]
        parameters = {
            **self._position,
            "priority": flow.priority,
            "channel": flow.channel,
            "client_id": flow.client_id,
            "size": SLICE,
            "on_clock": tools.lanes[Priority(flow.priority)].on_clock,
            "reasons": [each.like for each in returns],
            "seconds": [each.seconds for each in returns],
            "shares": [each.share for each in returns],
            "gateways": [each.gateway for each in returns],
        }
        end = run(conn, PACKAGE, "recall_slice", parameters).one_or_none() if returns else None
        if end is None:
            self._flows.pop(0)
            self._position = _BEGINNING
            if not self._flows:
                self._done |= self._old
            return 0
        self._position = {"at_time": end.scheduled_for, "at_id": end.id}
        return int(end.changed)


_BEGINNING: dict[str, Any] = {"at_time": "-infinity", "at_id": 0}


def _ended(conn: sa.Connection) -> Sequence[sa.Row[Any]]:
    """List stops of single things that have ended while what was put back for them may still wait."""
    now = sa.func.now()
    end = sa.func.least(_C.lifted_at, _C.until_at)
    left = sa.func.extract("epoch", end + sa.func.coalesce(_C.ramp, timedelta(0)) - now)
    query = sa.select(_C.id, left.label("growing"), (end < now - LATECOMERS).label("is_old")).where(
        _C.procedure == Procedure.STOP.value,
        _C.scope.in_(_PARKED_SCOPES),
        end <= now,
        end > now - PARKED * (1 + SPREAD),
    )
    return conn.execute(query.order_by(_C.id)).all()
