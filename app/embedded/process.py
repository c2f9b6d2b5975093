"""One process of ours: started in a session of its own, asked to stop, made to stop."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from app.embedded.accounts import Account

_LARGEST_LOG = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What to run, as whom, and how it is asked to stop.

    `output` is where both of its streams go, a pipe where it is None. `kept` descriptors stay open in it.
    Signals beyond the first follow when `patience` is over each time; SIGKILL is always the last.
    """

    name: str
    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    account: Account | None = None
    output: Path | None = None
    feed: bytes = b""
    kept: tuple[int, ...] = ()
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    patience: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A command that was started."""

    command: Command
    popen: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def lines(self) -> IO[bytes] | None:
        """What it prints, where its output is a pipe."""
        return self.popen.stdout

    def ended(self) -> int | None:
        """Give its exit status (negative: the signal it died of), None while it runs."""
        return self.popen.poll()

    def stop(self) -> None:
        """Ask it to stop, insist, and see to it that neither it nor its group is left."""
        for sign in self.command.stop_signals:
            if self._goes_on(sign):
                return
        self._kill_group()
        self.popen.wait()

    def _goes_on(self, sign: signal.Signals) -> bool:
        if self.popen.poll() is None:
            self.popen.send_signal(sign)
        try:
            self.popen.wait(self.command.patience.total_seconds())
        except subprocess.TimeoutExpired:
            return False
        self._kill_group()
        return True

    def _kill_group(self) -> None:
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def start(command: Command, marks: Mapping[str, str]) -> Process:
    """Start the command in a session of its own, so that a Ctrl-C at the terminal reaches only us.

    `marks` are added to its environment, by which its guard knows it.
    """
    popen = _popen(command, {**command.environment, **marks})
    if command.feed and popen.stdin is not None:
        with popen.stdin as stdin:
            stdin.write(command.feed)
    return Process(command=command, popen=popen)


def _popen(command: Command, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    other = command.account is not None and not command.account.is_ours
    output = _open_log(command.output) if command.output else subprocess.PIPE
    try:
        return subprocess.Popen(  # noqa: S603 - The arguments are our own, and no shell reads them.
            list(command.arguments),
            cwd=command.directory,
            env=environment,
            stdin=subprocess.PIPE if command.feed else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=command.kept,
            start_new_session=True,
            user=command.account.uid if command.account and other else None,
            group=command.account.gid if command.account and other else None,
            extra_groups=[] if other else None,
        )
    finally:
        if output != subprocess.PIPE:
            os.close(output)


def _open_log(path: Path) -> int:
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_name(path.name + ".old"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
