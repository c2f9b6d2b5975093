"""Looking at a lane's load each second, and saying how many threads there shall be."""

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import redis
import structlog

from actors.board import Board
from app.domain.lanes import Lane
from app.domain.staffing import Wish, first_wish, wish
from app.errors import Unavailable
from app.services import metrics, staffing
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

LOOK = 1.0  # seconds
# More threads do not help a lane whose processes use so much of a core each, on a machine with no more
# than this to spare.
_HUNGRY = 0.35
_SPARE = 0.1
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Foreman:
    """Says on the board how many threads its lane shall have, until told to stop.

    One for each lane on a machine. Where PostgreSQL does not answer, the number stays as it is.
    """

    tools: Tools
    lane: Lane
    board: Board
    client: redis.Redis
    _wish: Wish = field(init=False)
    _effort: "Effort" = field(init=False)

    def __post_init__(self) -> None:
        self._wish = first_wish(self.lane, _now())
        # Another foreman may have been here before, who died.
        if self.board.wished:
            self._wish = Wish(threads=self.board.wished, needed=0, changed_at=_now())
        self._effort = Effort(niced=self.lane.held_back)

    def run(self) -> None:
        """Look, and say, again and again."""
        while not self.tools.stopping.wait(LOOK):
            try:
                self.look()
            except Unavailable as exc:
                log.debug("the load is not known", lane=self.lane.name, error=str(exc))
            except Exception:
                # The edge of a thread: a lane without a foreman would keep its size for ever.
                log.exception("foreman stumbled", lane=self.lane.name)

    def look(self) -> None:
        """Look once, and say what follows. Raises Unavailable."""
        board = self.board
        crowded = self._effort.is_crowded(board.cpu, time.monotonic())
        load = staffing.read_load(
            self.tools.once, self.lane, busy=board.busy, running=board.running, crowded=crowded
        )
        before, self._wish = self._wish, wish(self.lane, load, self._wish, _now())
        board.wished = self._wish.threads
        if before.threads != self._wish.threads:
            log.info("lane follows its load", lane=self.lane.name, threads=self._wish.threads, due=load.due)
        self._tell(load.running, load.busy)

    def _tell(self, running: int, busy: int) -> None:
        priority, seen = self.lane.priority, self._wish
        metrics.tell_staffing(priority, seen.threads, seen.needed, running, busy)
        staffed = staffing.Staffed(
            host=socket.gethostname(),
            priority=priority,
            wished=seen.threads,
            needed=seen.needed,
            running=running,
            busy=busy,
            at=self.tools.now(),
        )
        # Whoever asks is told again in a second.
        with suppress(Unavailable):
            staffing.tell(self.client, staffed)


class Effort:
    """Tells from one look to the next whether CPU is what a lane lacks."""

    def __init__(self, *, niced: bool, stat: Path = Path("/proc/stat")) -> None:
        self._niced = niced
        self._stat = stat
        self._cpu: tuple[float, ...] = ()
        self._at = 0.0
        self._spare = self._spare_seconds()

    def is_crowded(self, cpu: tuple[float, ...], now: float) -> bool:
        """Tell whether the lane's processes use much CPU where there is no more to be had.

        `cpu` is what each has used so far, `now` a monotonic reading, both in seconds. A lane that is not
        niced takes what niced ones have, so that counts as spare.
        """
        spare, passed = self._spare_seconds(), max(now - self._at, 0.001)
        used = [new - old for new, old in zip(cpu, self._cpu or cpu, strict=True) if new > old]
        idle = (spare - self._spare) / passed if spare is not None and self._spare is not None else _SPARE
        self._cpu, self._at, self._spare = cpu, now, spare
        return bool(used) and sum(used) / len(used) / passed >= _HUNGRY and idle < _SPARE

    def _spare_seconds(self) -> float | None:
        """Add up what all cores together had to spare since the machine started; None where unknown."""
        try:
            words = self._stat.read_text("ascii").split("\n", 1)[0].split()
        except OSError:
            return None
        _, _, nice, _, idle, waiting = words[:6]
        return (int(idle) + int(waiting) + (0 if self._niced else int(nice))) / _TICK


def _now() -> timedelta:
    return timedelta(seconds=time.monotonic())
