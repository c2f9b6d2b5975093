"""One holder at a time for a directory, also across crashes."""

import fcntl
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.errors import Conflict

_PAUSE = 0.05


class Held(Conflict):
    """Somebody else holds the lock; `pid` is who says to be the holder, where that can be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.pid = pid
        holder = f"process {pid}" if pid else "another process"
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
        pid = _holder(descriptor)
        if time.monotonic() > deadline or (pid is not None and _lives(pid)):
            os.close(descriptor)
            raise Held(path, pid)
        time.sleep(_PAUSE)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return Lock(path=path, descriptor=descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 20, 0)
    return int(text) if text.isdigit() else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
