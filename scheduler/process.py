"""`tocsin scheduler`: the process that runs the jobs, or stands by to."""

import signal
from uuid import uuid4

import click
import structlog

from app import logs, settings
from app.bootstrap import build
from app.services.beats import Heart
from app.services.clock import local_time
from scheduler.clock import CONNECTIONS, Clock
from scheduler.jobs import jobs_of, watching_jobs
from scheduler.leadership import Leadership

log = structlog.get_logger(__name__)

_STOPS = (signal.SIGTERM, signal.SIGINT)


@click.command()
def scheduler() -> None:
    """Run the scheduler; a second one stands by, and takes over when the first is gone."""
    configured = settings.load()
    logs.configure(configured)
    # Threads inherit the mask, so a signal waits until the main thread asks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    app = build(configured, "scheduler", connections=CONNECTIONS)
    holder = f"{app.tools.worker}:{uuid4().hex[:8]}"
    clock = Clock(
        app.tools, (*jobs_of(configured), *watching_jobs(app.diagnostics)), Leadership(app.engine, holder)
    )
    app.clock.keep(app.tools.stopping)
    clock.start()
    heart = Heart(app.engine, app.tools.pulse, local_time, kind="scheduler")
    heart.start()
    log.info("scheduler started", holder=holder)
    signal.sigwait(_STOPS)
    # A second signal ends the process at once.
    for number in _STOPS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    clock.stop()
    heart.stop()
    app.engine.dispose()
    log.info("scheduler stopped")
