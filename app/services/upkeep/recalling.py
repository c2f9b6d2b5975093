"""Calling back what waits longer than it must: a stop has ended, or more may be sent than before."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

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

log = structlog.get_logger(__name__)

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
        self._stopped = _Walk()
        self._ended: frozenset[int] = frozenset()
        self._done: set[int] = set()
        self._limited = _Walk()
        self._growing = Growing()

    def run(self, tools: Tools) -> int:
        """Look at the next messages that wait for later; gives how many come sooner. Raises Unavailable."""
        ends_at = time.monotonic() + LONGEST
        with unavailable_when_down(), tools.once.connect() as conn:
            # Without Redis nobody knows what has grown, but stops end.
            recalled = _told(tools, self._after_stops(tools, conn, ends_at))
            try:
                return recalled + _told(tools, self._after_growth(tools, conn, ends_at))
            except BaseException:
                # What was seen and not noted is seen again.
                self._limited, self._growing = _Walk(), Growing()
                raise

    def _after_stops(self, tools: Tools, conn: sa.Connection, ends_at: float) -> int:
        if self._stopped.is_over:
            stops = [row for row in _ended(conn) if row.id not in self._done]
            self._ended = frozenset(row.id for row in stops if row.is_old)
            returns = [Return(like=reason(row.id), seconds=max(float(row.growing), 0.0)) for row in stops]
            until = tools.now() + PARKED * (1 + SPREAD) + LATECOMERS
            self._stopped.begin(conn, returns, until=until.isoformat())
        recalled = self._stopped.go_on(tools, conn, ends_at)
        if self._stopped.is_over:
            self._done |= self._ended
        return recalled

    def _after_growth(self, tools: Tools, conn: sa.Connection, ends_at: float) -> int:
        self._growing.look(tools)
        if self._limited.is_over:
            self._limited.begin(conn, self._growing.due(tools))
        recalled = self._limited.go_on(tools, conn, ends_at)
        if recalled:
            log.info("called back", messages=recalled, waiting_for=self._limited.reasons)
        if self._limited.is_over:
            self._growing.settle(tools)
        return recalled


class _Walk:
    """One look at all messages that wait for later, the most urgent first, in as many steps as it takes."""

    def __init__(self) -> None:
        self._returns: Sequence[Return] = ()
        self._until = ""
        self._flows: list[sa.Row[Any]] = []
        self._position: dict[str, Any] = _BEGINNING

    @property
    def is_over(self) -> bool:
        return not self._flows

    @property
    def reasons(self) -> list[str]:
        """Give the reasons of those that are looked for, each once; % stands for anything."""
        return list(dict.fromkeys("a retry" if each.retries else each.like for each in self._returns))

    def begin(self, conn: sa.Connection, returns: Sequence[Return], *, until: str = "infinity") -> None:
        """Begin to look for these among what is due before a time, unless there are none."""
        self._returns, self._until, self._position = returns, until, _BEGINNING
        if returns:
            self._flows = list(conn.execute(sa.select(lane_flows).order_by(lane_flows.c.priority)).all())

    def go_on(self, tools: Tools, conn: sa.Connection, ends_at: float) -> int:
        """Go on until so late; gives how many messages come sooner."""
        recalled = 0
        while self._flows and time.monotonic() < ends_at and not tools.stopping.is_set():
            recalled += self._slice(tools, conn)
        return recalled

    def _slice(self, tools: Tools, conn: sa.Connection) -> int:
        flow = self._flows[0]
        returns = [each for each in self._returns if each.channel in (None, flow.channel)]
        parameters = {
            **self._position,
            "priority": flow.priority,
            "channel": flow.channel,
            "client_id": flow.client_id,
            "until": self._until,
            "size": SLICE,
            "on_clock": tools.lanes[Priority(flow.priority)].on_clock,
            "reasons": [each.like for each in returns],
            "seconds": [each.seconds for each in returns],
            "shares": [each.share for each in returns],
            "gateways": [each.gateway for each in returns],
            "ours": [each.ours for each in returns],
            "retries": [each.retries for each in returns],
        }
        end = run(conn, PACKAGE, "recall_slice", parameters).one_or_none() if returns else None
        if end is None:
            self._flows.pop(0)
            self._position = _BEGINNING
            return 0
        self._position = {"at_time": end.scheduled_for, "at_id": end.id}
        return int(end.changed)


def _told(tools: Tools, recalled: int) -> int:
    """Have the lanes look for what was called back."""
    if recalled:
        for priority in Priority:
            tools.wake.lane(priority, sweep=True)
    return recalled


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
