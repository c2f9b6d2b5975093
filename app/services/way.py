"""Giving way: on a machine where an emergency is on its way out, bulk work waits for a moment."""

import mmap
import time
from pathlib import Path

# An emergency is on the wire by then, on a machine that has nothing else to do.
TAKEN_FOR = 0.05  # seconds
# Under a flood of emergencies bulk goes on, slowly.
LONGEST_WAIT = 0.1  # seconds
# So long after an emergency the next one is expected, and uploads rest so many times as long as they worked:
# what they write stands before each emergency in the database's log.
LATELY = 5.0  # seconds
REST = 2
_LOOK = 0.004  # seconds
_BYTES = 8


class Way:
    """What the processes of one machine tell each other of emergencies, without a server between them.

    They share eight bytes of a file: until when, by the machine's monotonic clock, the way is taken. Without
    a folder to share it is this process's own matter.
    """

    def __init__(self, folder: Path | None) -> None:
        self._until = memoryview(_shared(folder)).cast("d")

    def take(self) -> None:
        """Have bulk work wait from now on, for a moment."""
        self._until[0] = time.monotonic() + TAKEN_FOR

    @property
    def is_taken(self) -> bool:
        """Tell whether an emergency is on its way out."""
        # What is further ahead was written before the machine was started anew, and its clock with it.
        return 0 < self._until[0] - time.monotonic() <= TAKEN_FOR

    def go_slowly(self, worked: float) -> None:
        """Give way, and rest after so many seconds of work where emergencies came lately."""
        self.give()
        if self._until[0] and abs(time.monotonic() - self._until[0]) < LATELY:
            time.sleep(min(worked * REST, LONGEST_WAIT))

    def give(self) -> None:
        """Wait while the way is taken; mostly that costs one look into memory."""
        give_up_at = time.monotonic() + LONGEST_WAIT
        while self.is_taken and time.monotonic() < give_up_at:
            time.sleep(_LOOK)


def _shared(folder: Path | None) -> mmap.mmap:
    if folder is None:
        return mmap.mmap(-1, _BYTES)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "emergencies").open("a+b") as file:
        file.truncate(_BYTES)
        return mmap.mmap(file.fileno(), _BYTES)
