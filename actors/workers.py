"""`tocsin workers`: processes of their own for each lane, as many as its load is worth.

The parent imports everything once and forks; a child makes its own connections. A child that dies is
started again; all of them end with the parent.
"""

import gc
import os
import signal
import time
from dataclasses import dataclass, field
from types import FrameType

import click
import structlog

from actors.board import Board
from actors.child import STOPPING, fork
from actors.crews import Crew, crews
from app import logs
from app.domain.staffing import layout
from app.services import metrics
from app.settings import Settings, load

log = structlog.get_logger(__name__)

RESTART_AFTER = 1.0  # seconds
LOOK = 0.1  # seconds


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Run only this lane's workers; may be repeated.")
def workers(only: tuple[str, ...]) -> None:
    """Send what is due: workers for each lane, following its load, and some for what comes in."""
    settings = load()
    logs.configure(settings)
    chosen = [crew for crew in crews(settings) if not only or crew.name in only]
    unknown = set(only) - {crew.name for crew in chosen}
    if unknown:
        names = ", ".join(crew.name for crew in crews(settings))
        raise click.BadParameter(f"There is no {', '.join(sorted(unknown))}; there are {names}.")
    _Parent(settings, chosen).run()


@dataclass(kw_only=True, slots=True)
class _Child:
    crew: Crew
    board: Board
    place: int
    pid: int = 0
    due: float = 0.0
    leaving: bool = False


@dataclass
class _Parent:
    settings: Settings
    crews: list[Crew]
    stopping: bool = False
    children: list[_Child] = field(default_factory=list)

    def run(self) -> None:
        """Keep those alive that are wished for until told to stop, then wait until all have drained."""
        for number in STOPPING:
            signal.signal(number, self._stop)
        self.children = [child for crew in self.crews for child in _places(crew)]
        # What is imported stays for good: looking through it again and again for garbage cost a third of
        # the time of whoever works through thousands of events, and memory that children could share.
        gc.freeze()
        # A claim's messages live until it is settled: looking through them each time that seven hundred
        # objects were made finds nothing, and cost every tenth microsecond.
        gc.set_threshold(50_000, 20, 10)
        while not self.stopping:
            for child in self.children:
                self._see_to(child)
            self._reap()
            time.sleep(LOOK)
        self._drain()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _see_to(self, child: _Child) -> None:
        """Ask a child for its share of the threads that are wished for: start it, or let it go."""
        threads = _share(child, self.settings.cores)
        child.board.ask(child.place, threads)
        if threads and not child.pid and time.monotonic() >= child.due:
            child.pid = fork(self.settings, child.crew, child.board, child.place)
        elif child.pid and not threads and not child.leaving:
            os.kill(child.pid, signal.SIGTERM)
            child.leaving = True

    def _reap(self) -> None:
        for child in self.children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                self._note_end(child)

    def _note_end(self, child: _Child) -> None:
        if not child.leaving:
            log.warning("workers died", lane=child.crew.name, pid=child.pid)
            child.due = time.monotonic() + RESTART_AFTER
        metrics.forget_process(child.pid)
        child.board.report(child.place, running=0, busy=0)
        child.pid, child.leaving = 0, False

    def _drain(self) -> None:
        alive = [child.pid for child in self.children if child.pid]
        for pid in alive:
            os.kill(pid, signal.SIGTERM)
        for pid in alive:
            os.waitpid(pid, 0)
            metrics.forget_process(pid)


def _places(crew: Crew) -> list[_Child]:
    board = Board(crew.places)
    board.wished = crew.threads
    return [_Child(crew=crew, board=board, place=place) for place in range(crew.places)]


def _share(child: _Child, cores: int) -> int:
    crew = child.crew
    if crew.lane is None:
        return crew.threads
    sizes = layout(child.board.wished, each=crew.lane.min_threads, cores=cores, most=crew.most)
    return sizes[child.place] if child.place < len(sizes) else 0
