"""Workers of one lane as real processes, on this host or on one of their own."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

WORKERS = (sys.executable, "-m", "app.cli", "workers", "--only")


@contextlib.contextmanager
def workers(name, variables, log, *, before=()):
    """Run `tocsin workers --only NAME` while the block runs; all its processes are killed at the end."""
    with log.open("wb") as out:
        parent = subprocess.Popen(
            [*before, *WORKERS, name], env={**os.environ, **variables}, stdout=out, stderr=out
        )
        try:
            yield parent
        finally:
            ours = family(parent.pid)
            for pid in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            parent.wait()


def family(pid):
    """List a process and its descendants, parents first."""
    pids = [pid]
    for each in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids += map(int, Path(f"/proc/{each}/task/{each}/children").read_text("ascii").split())
    return pids
