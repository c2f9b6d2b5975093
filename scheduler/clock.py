"""The clock: ticks every job in time, and keeps asking for the lead."""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from app.services.sending.tools import Tools
from scheduler.jobs import ORIGIN, Job
from scheduler.leadership import Leadership
from scheduler.runner import TOLD_FROM, Runner

log = structlog.get_logger(__name__)

# What is urgent never waits for a thread that is cleaning up.
THREADS = {"urgent": 3, "default": 4}
# A job may need a connection while it has one; the lead and the heart have one of their own each.
CONNECTIONS = 2 * sum(THREADS.values()) + 2

# A tick that could not start within this time is left out; of several that wait, only the last is run.
GRACE = 300  # seconds


class Clock:
    """One scheduler. Any number may run: one of them leads, the others stand by."""

    def __init__(self, tools: Tools, jobs: Sequence[Job], leadership: Leadership) -> None:
        self._tools = tools
        self._jobs = jobs
        self._leadership = leadership
        self._runner = Runner(tools, leadership)
        self._ticking = BackgroundScheduler(
            timezone=UTC,
            executors={name: ThreadPoolExecutor(threads) for name, threads in THREADS.items()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE},
        )
        self._leading = threading.Thread(target=self._keep_leading, name="leading", daemon=True)

    def start(self) -> None:
        """Begin to tick and to ask for the lead, in threads."""
        # It warns about what coalescing and our own alarm take care of.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        for job in self._jobs:
            trigger = IntervalTrigger(
                seconds=job.every.total_seconds(), start_date=ORIGIN + job.offset, timezone=UTC
            )
            self._ticking.add_job(
                self._runner.tick, trigger, args=[job], id=job.name, executor=_executor(job)
            )
        self._ticking.start()
        self._leading.start()

    def stop(self) -> None:
        """Let running jobs come to the end of their statement, and give up the lead."""
        self._tools.stopping.set()
        self._leading.join()
        self._ticking.shutdown(wait=True)
        self._leadership.resign()

    def _keep_leading(self) -> None:
        while not self._tools.stopping.is_set():
            try:
                if self._leadership.renew():
                    self._catch_up()
            except Exception:
                # The edge of a thread that must not end: without it nobody leads.
                log.exception("asking for the lead failed")
            self._tools.stopping.wait(self._leadership.pause)

    def _catch_up(self) -> None:
        """Run the seldom jobs at once, in case that nobody led when it was time.

        Where somebody did, the slot is taken and nothing happens.
        """
        for job in self._jobs:
            if job.every >= TOLD_FROM:
                self._ticking.add_job(self._runner.tick, args=[job], executor=_executor(job))


def _executor(job: Job) -> str:
    return "urgent" if job.urgent else "default"
