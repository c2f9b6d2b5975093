"""Our end of the watchdog: which processes must not outlive us."""

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field

from app.embedded import watchdog
from app.embedded.process import Process


@dataclass(kw_only=True)
class Guard:
    """Has a watchdog stop our processes when this one ends without having done so itself.

    Processes started with `environment` are found by it as well: those it was not told of in time, and
    the children of others. `kept` descriptors stay open in the watchdog, which ends after all the others,
    so that a lock among them is held until nothing is left. `check` replaces a
    watchdog that was killed itself.
    """

    kept: tuple[int, ...] = ()
    mark: str = field(default_factory=lambda: os.urandom(16).hex())
    _watched: dict[int, str] = field(default_factory=dict)
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What to add to a process' environment."""
        return {watchdog.MARK: self.mark}

    def watch(self, process: Process) -> None:
        """Add a process; it will get the first of its stop signals."""
        self._watched[process.pid] = f"+{process.pid} {int(process.command.stop_signals[0])}\n"
        self._tell(self._watched[process.pid])

    def forget(self, process: Process) -> None:
        """Take a process off the list, once it has ended."""
        if self._watched.pop(process.pid, None):
            self._tell(f"-{process.pid}\n")

    def check(self) -> bool:
        """Start the watchdog where it does not run, and tell it everything; says whether it had to."""
        if self._popen is not None and self._popen.poll() is None:
            return False
        self._release()
        self._popen = _start(self.mark, self.kept)
        self._write("".join(self._watched.values()))
        return True

    def close(self) -> None:
        """End the watchdog, and with it what is still on its list."""
        if popen := self._release():
            popen.wait()

    def _tell(self, line: str) -> None:
        if not self.check():
            self._write(line)

    def _write(self, text: str) -> None:
        if self._popen is not None and self._popen.stdin is not None:
            try:
                os.write(self._popen.stdin.fileno(), text.encode())
            except BrokenPipeError:
                # It died just now; the next check starts another and tells it all.
                self._popen.wait()

    def _release(self) -> subprocess.Popen[bytes] | None:
        popen, self._popen = self._popen, None
        if popen is not None and popen.stdin is not None:
            popen.stdin.close()
        return popen


def _start(mark: str, kept: tuple[int, ...]) -> subprocess.Popen[bytes]:
    popen = subprocess.Popen(  # noqa: S603 - Our own interpreter and file.
        [sys.executable, "-I", "-S", watchdog.__file__, mark],
        cwd="/",
        env={"PATH": os.defpath},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=kept,
        start_new_session=True,
    )
    # It closes its output when it listens.
    with popen.stdout or nullcontext() as output:
        if output:
            output.read()
    return popen
