"""Processes that a bench starts, and what they use of the machine."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.embedded.guard import Guard
from app.embedded.process import Command, Process, start

PROJECT = Path(__file__).parents[1]
_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = timedelta(seconds=90)
_KEPT = ("PATH", "HOME", "LANG", "UV_PROJECT_ENVIRONMENT")


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Give what processes get to see: nothing of ours but what they cannot do without."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(PROJECT), **variables}


def tocsin(*arguments: str) -> tuple[str, ...]:
    """Give the command line of one of our own commands."""
    return (sys.executable, "-P", "-m", "app.cli", *arguments)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A process, and all that it started, whose use of the machine is looked at."""

    process: Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def words(self) -> str:
        """Give what it printed."""
        return self.log.read_text(errors="replace")

    def family(self) -> list[int]:
        """List the process and its descendants."""
        return family(self.pid)

    def cpu(self) -> float:
        """Tell the seconds of CPU that they have used."""
        return sum(cpu(pid) for pid in self.family())

    def until_it_ends(self, within: float) -> None:
        """Wait for its end; raises where it takes too long or fails."""
        status = self.process.popen.wait(within)
        assert status == 0, self.words()


@contextmanager
def running(
    guard: Guard, arguments: tuple[str, ...], variables: Mapping[str, str], folder: Path
) -> Iterator[Measured]:
    """Run a command while the block runs, then stop it in order; nothing of it outlives the bench."""
    number = len(list(folder.glob("*.log")))
    log = folder / f"{number:02}-{Path(arguments[-1]).name}.log"
    command = Command(
        name=arguments[-1],
        arguments=arguments,
        directory=folder,
        environment=environment(variables),
        output=log,
        patience=_PATIENCE,
    )
    process = start(command, guard.environment)
    guard.watch(process)
    try:
        yield Measured(process=process, log=log)
    finally:
        process.stop()
        guard.forget(process)


def family(pid: int) -> list[int]:
    """List a process and its descendants."""
    pids = [pid]
    for parent in pids:
        pids += children(parent)
    return pids


def children(pid: int) -> list[int]:
    """List what any thread of a process has started and is still there, the oldest first."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in thread.read_text().split()]
        except OSError:
            continue
    return sorted(found)


def command_line(pid: int) -> str:
    """Give a process' command line, nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def cpu(pid: int) -> float:
    """Tell the seconds of CPU that one process has used; nothing where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> int:
    """Tell the bytes that a process holds for itself; nothing where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def peak_memory(pid: int) -> int:
    """Tell the most memory, in bytes, that a process held since its peak was forgotten."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def forget_peak(pid: int) -> None:
    """Let a process' peak begin from what it holds now."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return
