"""Reviewing held messages: when nobody could tell in time what became of them, a rule decides."""

from datetime import timedelta
from typing import Literal

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.lanes import Lane
from app.queue import PACKAGE
from app.services.sending.tools import Tools

AT_A_TIME = 1000


def review_held(tools: Tools, held_for: timedelta, then: Literal["fail", "resend"]) -> str:
    """Fail or send again what was held `held_for`, or past its time; tells how many. Raises Unavailable.

    What is sent again is marked as perhaps a second time, and uses a round.
    """
    again = failed = 0
    for lane in tools.lanes.values():
        some_again, some_failed = _review(tools, lane, held_for, resend=then == "resend")
        again, failed = again + some_again, failed + some_failed
    return f"again {again}, failed {failed}" if again or failed else ""


def _review(tools: Tools, lane: Lane, held_for: timedelta, *, resend: bool) -> tuple[int, int]:
    parameters = {
        "priority": lane.priority,
        "held_for": held_for,
        "resend": resend,
        "on_clock": lane.on_clock,
        "limit": AT_A_TIME,
    }
    again = failed = 0
    while not tools.stopping.is_set():
        with unavailable_when_down(), tools.once.connect() as conn:
            row = run(conn, PACKAGE, "review_held", parameters).one()
        again, failed = again + row.again, failed + row.failed
        if row.again + row.failed < AT_A_TIME:
            break
    if again:
        tools.wake.lane(lane.priority)
    return again, failed
