"""A simulator inside another process, in a thread of its own: for tests and benches."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from app.simulator.simulator import Options, Simulator


@contextmanager
def simulating(options: Options) -> Iterator[None]:
    """Run a simulator while the block runs; what kept it from starting or ending is raised here."""
    runner = _Runner(options)
    thread = threading.Thread(target=runner.run, name="simulator")
    thread.start()
    try:
        runner.ready.wait()
        if runner.failure is None:
            yield
    finally:
        runner.stop()
        thread.join()
    if runner.failure is not None:
        raise runner.failure


class _Runner:
    def __init__(self, options: Options) -> None:
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Task[None] | None = None

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, suppress(asyncio.CancelledError):
            try:
                runner.run(self._serve())
            except Exception as exc:  # noqa: BLE001 - the edge of a thread: it is raised in the other one
                self.failure = exc
            finally:
                self.ready.set()

    def stop(self) -> None:
        if self._serving is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._serving.cancel)

    async def _serve(self) -> None:
        self._serving = asyncio.current_task()
        await Simulator(self._options, datetime.now(UTC)).serve(self.ready.set)
