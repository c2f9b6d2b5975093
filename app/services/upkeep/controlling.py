"""What emergency procedures leave to be done: clearings that were too long for their callers."""

import time

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import controls
from app.domain.vocabulary import Priority
from app.services.controls import clearing
from app.services.controls.views import WorkState
from app.services.sending.tools import Tools

# A run of the job is not longer; the next one goes on.
LONGEST = 2.0  # seconds

_C = controls.c


def go_on_clearing(tools: Tools) -> int:
    """Go on with clearings that were too long for their callers; gives how many. Raises Unavailable."""
    working = (WorkState.RUNNING.value, WorkState.UNDOING.value)
    with unavailable_when_down(), tools.once.connect() as conn:
        ids = list(conn.scalars(sa.select(_C.id).where(_C.state.in_(working)).order_by(_C.id)))
    until = time.monotonic() + LONGEST
    with unavailable_when_down():
        for control in ids:
            if clearing.go_on(tools.engine, control, source="scheduler", until=until):
                for priority in Priority:
                    tools.wake.lane(priority)
    return len(ids)
