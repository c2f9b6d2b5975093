"""`tocsin workers`: one process for each lane, so that none ever waits for another's.

The parent imports everything once and forks; a child makes its own connections. A child that dies is
started again; all of them end with the parent.
"""

import gc
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

import click
import dramatiq
import structlog

from actors.declare import declare
from actors.emergency import LISTEN, answer_doorbell, stand_in_for_redis
from app import logs
from app.bootstrap import App, build
from app.domain.lanes import Lane
from app.domain.vocabulary import Priority
from app.services.beats import Heart
from app.settings import Settings, load
from app.wake import EVENTS_QUEUE, INGEST_QUEUE

log = structlog.get_logger(__name__)

# How often an idle consumer looks into its queue, in milliseconds: an emergency's pick-up is mostly this.
QUICK_LOOK = 20
LOOK = 100
# Bulk gives way to everything else on the machine, and everything to emergencies, where we may say so.
BULK_NICENESS = 10
EMERGENCY_NICENESS = -10
# What is on the wire is waited for: a gateway's time-out and the settling behind it.
DRAIN = 30.0  # seconds
# Threads that hear the emergencies' doorbell, beside those that look into the queue.
LISTENERS = 3
RESTART_AFTER = 1.0  # seconds
_STOPPING = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """The workers of one process."""

    name: str
    queues: frozenset[str]
    threads: int
    look: int = LOOK
    niceness: int = 0
    emergency: bool = False


def crews(settings: Settings) -> list[Crew]:
    """Say which processes there are: one a lane, emergencies first, and one for what comes in."""
    lanes = [
        Crew(
            name=lane.name,
            queues=frozenset({lane.queue}),
            threads=lane.min_threads,
            look=QUICK_LOOK if lane.always_tries else LOOK,
            niceness=_niceness(lane),
            emergency=lane.priority is Priority.P0,
        )
        for lane in settings.lanes.values()
    ]
    incoming = Crew(
        name="events",
        queues=frozenset({EVENTS_QUEUE, INGEST_QUEUE}),
        threads=2,
        niceness=BULK_NICENESS,
    )
    return [*lanes, incoming]


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Run only this lane's workers; may be repeated.")
def workers(only: tuple[str, ...]) -> None:
    """Send what is due: one process for each lane, and one for what comes in."""
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
    pid: int = 0
    due: float = 0.0


@dataclass
class _Parent:
    settings: Settings
    crews: list[Crew]
    stopping: bool = False
    children: list[_Child] = field(default_factory=list)

    def run(self) -> None:
        """Keep all children alive until told to stop, then wait until they have drained."""
        for number in _STOPPING:
            signal.signal(number, self._stop)
        self.children = [_Child(crew=crew) for crew in self.crews]
        # What is imported stays for good: looking through it again and again for garbage cost a third of
        # the time of whoever works through thousands of events, and memory that children could share.
        gc.freeze()
        while not self.stopping:
            for child in self.children:
                if not child.pid and time.monotonic() >= child.due:
                    child.pid = _fork(self.settings, child.crew)
            self._reap()
            time.sleep(0.1)
        self._drain()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _reap(self) -> None:
        for child in self.children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                log.warning("workers died", lane=child.crew.name, pid=child.pid)
                child.pid, child.due = 0, time.monotonic() + RESTART_AFTER

    def _drain(self) -> None:
        alive = [child.pid for child in self.children if child.pid]
        for pid in alive:
            os.kill(pid, signal.SIGTERM)
        for pid in alive:
            os.waitpid(pid, 0)


def _fork(settings: Settings, crew: Crew) -> int:
    parent = os.getpid()
    # Told to stop before it can hear, a child would never stop: it hears of it once it is ready.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        return pid
    code = 1
    try:
        _work(settings, crew, parent)
        code = 0
    except Exception:
        log.exception("workers cannot go on", lane=crew.name)
    finally:
        # Nothing of the parent's is to be cleaned up by the child.
        os._exit(code)


def _work(settings: Settings, crew: Crew, parent: int) -> None:
    """Be one crew until told to stop or left alone."""
    with suppress(PermissionError):
        os.nice(crew.niceness)
    app = build(settings, crew.name, connections=crew.threads + 3 + LISTENERS * crew.emergency)
    tools = app.tools
    for number in _STOPPING:
        signal.signal(number, lambda *_: tools.stopping.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    declare(app.broker, tools)
    worker = dramatiq.Worker(
        app.broker, queues=set(crew.queues), worker_timeout=crew.look, worker_threads=crew.threads
    )
    worker.start()
    heart = Heart(app.engine, tools.pulse, tools.now, kind="workers", lanes=[crew.name], threads=crew.threads)
    heart.start()
    beside = _beside_the_queue(app) if crew.emergency else []
    while not tools.stopping.wait(1.0):
        if os.getppid() != parent:
            log.error("the parent is gone", lane=crew.name)
            tools.stopping.set()
    worker.stop(timeout=int(DRAIN * 1000))
    for thread in beside:
        thread.join(DRAIN)
    heart.stop()


def _niceness(lane: Lane) -> int:
    if lane.priority is Priority.P0:
        return EMERGENCY_NICENESS
    return BULK_NICENESS if lane.held_back else 0


def _beside_the_queue(app: App) -> list[threading.Thread]:
    """Start what the emergency lane does beside looking into its queue."""
    threads = [
        threading.Thread(target=stand_in_for_redis, args=(app.tools, app.redis), daemon=True),
        *(
            threading.Thread(target=answer_doorbell, args=(app.tools, app.doorbell(LISTEN)), daemon=True)
            for _ in range(LISTENERS)
        ),
    ]
    for thread in threads:
        thread.start()
    return threads
