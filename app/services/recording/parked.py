"""Facts that came before their message was known, or settled."""

from datetime import timedelta

from app.db.engine import unavailable_when_down
from app.services.recording.observing import told
from app.services.recording.record import record_parked
from app.services.sending.tools import Tools

# A worker settles within this time; until then its own result is the better news.
WAITED = timedelta(seconds=2)
AT_A_TIME = 500


def process(tools: Tools) -> int:
    """Record parked facts whose message is there by now; returns how many had their effect."""
    done = 0
    while not tools.stopping.is_set():
        with unavailable_when_down(), tools.engine.begin() as conn:
            result = record_parked(conn, tools, waited=WAITED, limit=AT_A_TIME)
        told(tools, result)
        for priority, messages in result.failed_over.items():
            tools.wake.failover(priority, messages)
        if not result.recorded:
            break
        done += result.recorded
    return done
