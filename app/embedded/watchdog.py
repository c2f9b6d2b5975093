"""A small process that stops others when the one that started it is gone, even by kill -9.

It is run as a file, so it imports nothing of ours. On its standard input come lines, `+pid signal` to
watch a process and `-pid` to forget it; the end of the input is the end of the parent.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "TOCSIN_UP"

# Together less than the five seconds after which nothing may be left.
_GRACE = 3.0
_INSISTENCE = 1.5
_PAUSE = 0.02

# A pid alone may be given to somebody else meanwhile; with its time of birth it is that process.
Identity = tuple[int, str]


def main(mark: str) -> None:
    """Listen until the parent is gone, then stop all that is left of it."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # From here on nothing but kill -9 ends it early.
    os.close(sys.stdout.fileno())
    watched = _listen()
    left = _with_descendants(watched)
    for identity, sign in watched.items():
        _send(identity, sign)
    _wait(left, _GRACE)
    deadline = time.monotonic() + _INSISTENCE
    # Killing may uncover more of them, those that were being started above all.
    while (rest := _alive(left) | _marked(mark)) and time.monotonic() < deadline:
        for identity in rest:
            _send(identity, signal.SIGKILL)
        time.sleep(_PAUSE)


def _listen() -> dict[Identity, int]:
    watched: dict[Identity, int] = {}
    for line in sys.stdin:
        pid, _, sign = line[1:].partition(" ")
        identity = identify(int(pid))
        if line[0] == "+" and identity is not None:
            watched[identity] = int(sign)
        elif line[0] == "-":
            watched = {known: sign for known, sign in watched.items() if known[0] != int(pid)}
    return watched


def _wait(left: set[Identity], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _alive(left) and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _alive(identities: set[Identity]) -> set[Identity]:
    return {identity for identity in identities if identify(identity[0]) == identity}


def _send(identity: Identity, sign: int) -> None:
    if identify(identity[0]) == identity:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(identity[0], sign)


def identify(pid: int) -> Identity | None:
    """Tell a process from a later one of the same number; None where it is gone or only a zombie."""
    fields = _stat(pid)
    if fields is not None:
        state, born = fields[0], fields[19]
        return None if state in "ZX" else (pid, born)
    if _PROC.is_dir():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid, ""
    return pid, ""


def _with_descendants(watched: dict[Identity, int]) -> set[Identity]:
    found = set(watched)
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid))}
    grew = True
    while grew:
        known = {pid for pid, _ in found}
        young = {
            identity for pid, parent in parents.items() if parent in known and (identity := identify(pid))
        }
        grew = not young <= found
        found |= young
    return found


def _marked(mark: str) -> set[Identity]:
    wanted = f"{MARK}={mark}".encode()
    return {identity for pid in _pids() if wanted in _environ(pid) and (identity := identify(pid))}


_PROC = Path("/proc/self")


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - Names do.
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    # The name of a process stands in brackets and may hold blanks and brackets itself.
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    main(sys.argv[1])
