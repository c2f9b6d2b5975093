"""Dispatching: waking each lane that has something due, whoever forgot to."""

from collections.abc import Iterable
from math import ceil

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.sending.gate import is_closed
from app.services.sending.tools import Tools

# Emergencies before everything, then those where seconds matter; none is left out.
ORDER = (Priority.P0, Priority.P4, Priority.P1, Priority.P2, Priority.P3)
URGENT = (Priority.P0, Priority.P4)

MESSAGES_A_WAKE = 100
MOST_WAKES = 10


def dispatch_urgent(tools: Tools) -> str:
    """Wake P0 and then P4 where anything is due; tells which."""
    return _wake(tools, URGENT)


def dispatch_waiting(tools: Tools) -> str:
    """Wake the other lanes where something that waited has come due, to go on from where they are.

    A lane that is held back stays so. Tells which.
    """
    return _wake(tools, (priority for priority in ORDER if priority not in URGENT))


def dispatch(tools: Tools) -> str:
    """Wake every lane where anything is due, P0 first, to look from its beginning; tells which.

    A lane gets one wake for each hundred due messages, at most ten. One that is held back on all channels
    gets a single one: a sweep passes the gate for one batch, so that the lane never stands still.
    """
    return " ".join(f"{priority}:{wakes}" for priority in ORDER if (wakes := _dispatch(tools, priority)))


def depth(tools: Tools, priority: Priority, *, limit: int) -> int:
    """Count the lane's due messages, up to `limit`. Raises Unavailable."""
    with unavailable_when_down(), tools.once.connect() as conn:
        none: list[int] = []
        parameters = {"priority": priority, "channel": None, "stopped_clients": none, "limit": limit}
        row = run(conn, PACKAGE, "lane_depth", parameters).one()
    return int(row.depth)


def wakes_for(due: int) -> int:
    """Say how many wakes so many due messages are worth."""
    return ceil(min(due / MESSAGES_A_WAKE, MOST_WAKES))


def _wake(tools: Tools, priorities: Iterable[Priority]) -> str:
    woken = [priority for priority in priorities if depth(tools, priority, limit=1)]
    for priority in woken:
        tools.wake.lane(priority)
    return " ".join(woken)


def _dispatch(tools: Tools, priority: Priority) -> int:
    wakes = wakes_for(depth(tools, priority, limit=MESSAGES_A_WAKE * MOST_WAKES + 1))
    if wakes > 1 and not _is_open(tools, tools.lanes[priority]):
        wakes = 1
    for number in range(wakes):
        # One sweep looks for what came in behind; the others go on from where the lane was read to.
        tools.wake.lane(priority, sweep=number == 0)
    return wakes


def _is_open(tools: Tools, lane: Lane) -> bool:
    channels = {gateway.channel for gateway in tools.gateways.values()}
    return not lane.held_back or any(not is_closed(tools, channel) for channel in channels)
