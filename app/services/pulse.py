"""How a process shows that it gets on with its work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pulse:
    """What one process is at; threads share it. Noting progress costs one assignment."""

    def __init__(self) -> None:
        self._working: dict[int, int] = {}
        self._moved = time.monotonic()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count the calling thread as busy inside the block; to begin and to end are progress."""
        thread = threading.get_ident()
        # Each thread writes its own entry only, so that nothing is lost between two of them.
        self._working[thread] = self._working.get(thread, 0) + 1
        self.progress()
        try:
            yield
        finally:
            self._working[thread] -= 1
            if not self._working[thread]:
                del self._working[thread]
            self.progress()

    def progress(self) -> None:
        """Note that something was done just now."""
        self._moved = time.monotonic()

    def is_working(self, thread: threading.Thread) -> bool:
        """Tell whether a thread is at work."""
        return thread.ident in self._working

    @property
    def busy(self) -> int:
        """Tell how many threads are at work."""
        return len(self._working)

    @property
    def still_for(self) -> float:
        """Tell for how many seconds nothing was done."""
        return time.monotonic() - self._moved
