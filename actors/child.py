"""One process of workers: it makes its own connections, and changes its threads as it is asked to."""

import os
import signal
import threading
import time
from contextlib import suppress

import structlog

from actors.board import Board
from actors.crews import Crew
from actors.declare import declare
from actors.emergency import LISTEN, answer_doorbell, heed_stops, keep_reference_data, stand_in_for_redis
from actors.foreman import Foreman
from actors.staff import Staff
from app.bootstrap import App, build
from app.services.beats import Heart
from app.services.clock import local_time
from app.services.sending.tools import Tools
from app.settings import Settings

log = structlog.get_logger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT)
# What is on the wire is waited for: a gateway's time-out and the settling behind it.
DRAIN = 30.0  # seconds
# Threads that hear the emergencies' doorbell, beside those that listen at the queue.
LISTENERS = 3
LOOK = 0.25  # seconds
# The heart, the foreman, who asks for stops, and one to spare.
_MORE_CONNECTIONS = 4


def fork(settings: Settings, crew: Crew, board: Board, place: int) -> int:
    """Start a process of the crew in its place on the board; gives its id."""
    parent = os.getpid()
    # Told to stop before it can hear, a child would never stop: it hears of it once it is ready.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return pid
    code = 1
    try:
        _work(settings, crew, board, place, parent)
        code = 0
    except Exception:
        log.exception("workers cannot go on", lane=crew.name)
    finally:
        # Nothing of the parent's is to be cleaned up by the child.
        os._exit(code)


def _work(settings: Settings, crew: Crew, board: Board, place: int, parent: int) -> None:
    """Work until told to stop or left alone."""
    with suppress(PermissionError):
        os.nice(crew.niceness)
    connections = crew.most + _MORE_CONNECTIONS + LISTENERS * crew.emergency
    app = build(settings, crew.name, connections=connections, impatient=crew.emergency)
    tools = app.tools
    for number in STOPPING:
        signal.signal(number, lambda *_: tools.stopping.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    app.clock.keep(tools.stopping)
    declare(app.broker, tools)
    staff = Staff(app.broker, queues=set(crew.queues), threads=board.asked(place), pulse=tools.pulse)
    staff.start()
    heart = Heart(
        app.engine, tools.pulse, local_time, kind="workers", lanes=[crew.name], threads=staff.threads
    )
    heart.start()
    beside = _beside(app, crew, board, place)
    while not tools.stopping.wait(LOOK):
        tools.places.each = crew.share(board.running)
        _follow(staff, tools, heart, board, place)
        if os.getppid() != parent:
            log.error("the parent is gone", lane=crew.name)
            tools.stopping.set()
    staff.stop(timeout=int(DRAIN * 1000))
    for thread in beside:
        thread.join(DRAIN)
    heart.stop()
    if tools.traces is not None:
        tools.traces.close()


def _follow(staff: Staff, tools: Tools, heart: Heart, board: Board, place: int) -> None:
    """Have as many threads as are asked for, and say how it is."""
    asked = board.asked(place)
    # Whoever shall have none is about to be told to stop.
    if asked:
        staff.resize(asked)
    heart.threads = staff.threads
    board.report(place, running=staff.threads, busy=tools.pulse.busy, cpu=time.process_time())


def _beside(app: App, crew: Crew, board: Board, place: int) -> list[threading.Thread]:
    """Start what a process does beside working through its queue."""
    tools = app.tools
    threads = [threading.Thread(target=heed_stops, args=(tools, app.bell_of_stops()), daemon=True)]
    if crew.emergency:
        threads.append(threading.Thread(target=stand_in_for_redis, args=(tools, app.redis), daemon=True))
        threads.append(threading.Thread(target=keep_reference_data, args=(tools,), daemon=True))
        threads.extend(
            threading.Thread(target=answer_doorbell, args=(tools, app.doorbell(LISTEN)), daemon=True)
            for _ in range(LISTENERS)
        )
    if crew.lane and place == 0:
        foreman = Foreman(tools, crew.lane, board, app.redis)
        threads.append(threading.Thread(target=foreman.run, name="foreman", daemon=True))
    for thread in threads:
        thread.start()
    return threads
