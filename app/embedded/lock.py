"""One holder at a time for a directory, also across crashes."""

import fcntl
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.embedded.watchdog import identify
from app.errors import Conflict

_PAUSE = 0.05


class Held(Conflict):
    """Somebody else holds the lock: `pid` took it, or children that outlived it."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.pid = pid
        self.holder_lives = pid is not None and identify(pid) is not None
        holder = f"process {pid}" if self.holder_lives else f"what process {pid} has left running"
        super().__init__(f"{path.parent} is in use by {holder}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """A lock that is held until it is released and all processes that inherited `descriptor` are gone."""

    path: Path
    descriptor: int

    def release(self) -> None:
        """Give the lock up, as far as this process is concerned."""
        os.close(self.descriptor)


def acquire(path: Path, patience: timedelta) -> Lock:
    """Take the lock, waiting at most `patience` where its holder is dead but its servers are not yet.

    Raises Held at once where the holder lives, and after the wait where something still holds on.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience.total_seconds()
    while not _try(descriptor):
        held = Held(path, _holder(descriptor))
        if held.holder_lives or time.monotonic() > deadline:
            os.close(descriptor)
            raise held
        time.sleep(_PAUSE)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return Lock(path=path, descriptor=descriptor)


def is_held(path: Path) -> bool:
    """Tell whether anybody holds the lock now, without taking it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None
