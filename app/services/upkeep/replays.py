"""Going on with replays that were asked for: what is due next goes back into the queue."""

from app.services import replaying
from app.services.sending.tools import Tools


def advance_replays(tools: Tools) -> int:
    """Put back what is due of every replay; gives into how many lanes. Raises Unavailable."""
    woken = set()
    for replay in replaying.running(tools.engine):
        if tools.stopping.is_set():
            break
        woken |= replaying.advance(tools.engine, tools.lanes, replay)
    for priority in sorted(woken):
        tools.wake.lane(priority)
    return len(woken)
