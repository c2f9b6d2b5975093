"""Running a job when its time has come: on the leader, once a slot, whatever becomes of other jobs."""

import threading
from datetime import datetime, timedelta

import structlog

from app.db.engine import unavailable_when_down
from app.errors import Unavailable
from app.queue.jobs import begin_run, end_run
from app.services.metrics import count_failed_job, count_late_job
from app.services.sending.tools import Tools
from scheduler.jobs import Job
from scheduler.leadership import Leadership

log = structlog.get_logger(__name__)

# A job that starts so long after its time is late, and late is an alarm.
LATE = timedelta(seconds=2)
# What jobs of this pace came to is a line in the log; the others run too often for that.
TOLD_FROM = timedelta(minutes=1)

_LONGEST_RESULT = 200


class Runner:
    """Runs jobs for one scheduler. `tick` is called when a job's time has come, by any thread."""

    def __init__(self, tools: Tools, leadership: Leadership) -> None:
        self._tools = tools
        self._leadership = leadership
        self._expected: dict[str, datetime] = {}
        self._troubles: dict[str, str] = {}
        self._lock = threading.Lock()

    def tick(self, job: Job) -> None:
        """Run the job for the present slot, unless this one does not lead or the slot was taken.

        Whatever it raises is told and counted here, and the next slot tries again.
        """
        if not self._leadership.held or self._tools.stopping.is_set():
            self._expected.pop(job.name, None)
            return
        now = self._tools.now()
        slot = job.slot(now)
        self._look_at_the_clock(job, slot, now)
        try:
            result = self._run(job, slot)
        except Exception as exc:  # noqa: BLE001 - The edge of a job: others must go on.
            self._note_trouble(job, exc)
        else:
            self._note_success(job, result)

    def _run(self, job: Job, slot: datetime) -> str:
        """Take the slot and run; gives what it came to, in words."""
        with unavailable_when_down(), self._tools.once.connect() as conn:
            begun = begin_run(conn, job.name, slot, self._leadership.holder)
        if not begun:
            return ""
        words = "failed"
        try:
            with unavailable_when_down():
                result = job.run(self._tools)
            words = str(result) if result else ""
        finally:
            with unavailable_when_down(), self._tools.once.connect() as conn:
                end_run(conn, job.name, slot, words[:_LONGEST_RESULT])
        return words

    def _look_at_the_clock(self, job: Job, slot: datetime, now: datetime) -> None:
        """Raise the alarm where the job should have run a while ago."""
        expected = self._expected.get(job.name)
        self._expected[job.name] = slot + job.every
        if expected is not None and now - expected > LATE:
            count_late_job(job.name)
            log.warning("job late", job=job.name, seconds=round((now - expected).total_seconds(), 1))

    def _note_trouble(self, job: Job, exc: Exception) -> None:
        """Tell it once, however many jobs it hits and however often, until it is over."""
        count_failed_job(job.name)
        words = f"{type(exc).__name__}: {exc}"
        with self._lock:
            known = words in self._troubles.values()
            self._troubles[job.name] = words
        if known:
            return
        if isinstance(exc, Unavailable):
            log.warning("jobs wait", job=job.name, error=str(exc))
        else:
            log.error("job failed", job=job.name, exc_info=exc)

    def _note_success(self, job: Job, result: str) -> None:
        with self._lock:
            trouble = self._troubles.pop(job.name, None)
            over = trouble is not None and trouble not in self._troubles.values()
        if over:
            log.info("jobs go on", job=job.name)
        if result and job.every >= TOLD_FROM:
            log.info("job done", job=job.name, result=result)
