"""Dramatiq's worker with a number of threads that changes while they work."""

from dramatiq import Broker, Worker
from dramatiq.worker import WorkerThread

from app.services.pulse import Pulse
from app.services.sending.stopping import dismiss

# An idle thread is woken by what comes; this is how soon it notices that it shall end.
LOOK = 500  # milliseconds


class Staff(Worker):
    """The sending threads of one process. All of them end with `stop`, as with any worker of Dramatiq."""

    def __init__(self, broker: Broker, *, queues: set[str], threads: int, pulse: Pulse) -> None:
        super().__init__(broker, queues=queues, worker_threads=threads, worker_timeout=LOOK)
        self._pulse = pulse
        self._leaving: list[WorkerThread] = []

    @property
    def threads(self) -> int:
        """Tell how many threads there are, those included that are about to end."""
        self._leaving = [thread for thread in self._leaving if thread.is_alive()]
        return len(self.workers) + len(self._leaving)

    def resize(self, threads: int) -> None:
        """Have so many threads from now on.

        Idle ones go first. One that is in the middle of a claim finishes what is on the wire, puts the
        rest back and goes.
        """
        while len(self.workers) < threads:
            self._add_worker()
        for thread in self._idle_last()[threads:]:
            self.workers.remove(thread)
            self._leaving.append(thread)
            thread.stop()
            dismiss(thread)
        for consumer in self.consumers.values():
            consumer.prefetch = 2 * threads
            if consumer.consumer is not None:
                consumer.consumer.prefetch = 2 * threads  # type: ignore[attr-defined]  # of Redis' consumer

    def stop(self, timeout: int = 600_000) -> None:
        """End all threads, those included that were about to."""
        self.workers += self._leaving
        self._leaving = []
        super().stop(timeout)

    def _idle_last(self) -> list[WorkerThread]:
        return sorted(self.workers, key=lambda thread: not self._pulse.is_working(thread))
