"""Keeping processes alive: starts them, notices when one dies, starts it again, stops all in order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from app.embedded.guard import Guard
from app.embedded.process import Command, Process, start
from app.errors import TocsinError

_SHORTEST = timedelta(milliseconds=200)
_LONGEST = timedelta(seconds=30)
# One that ran this long was well; when it dies, that is a first failure again.
_WELL_AFTER = timedelta(seconds=30)

Report = Callable[[str, str], None]


class Part(Protocol):
    """Something that is kept running."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None:
        """Make ready for a start; raises a TocsinError where it cannot be started."""
        ...

    def command(self) -> Command: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A part that is just a command."""

    of: Command

    @property
    def name(self) -> str:
        return self.of.name

    def prepare(self) -> None:
        """Nothing has to be there before it starts."""

    def command(self) -> Command:
        return self.of


@dataclass(kw_only=True)
class _Kept:
    part: Part
    process: Process | None = None
    failures: int = 0
    started: float = 0.0
    due: float = 0.0


@dataclass(kw_only=True)
class Supervisor:
    """Keeps parts running until it is told to stop.

    `report(name, line)` is told what matters; `follow(process)` is given each process that was started,
    to read what it prints. Times are seconds of a monotonic clock.
    """

    guard: Guard
    report: Report
    follow: Callable[[Process], None] = lambda _process: None
    _kept: list[_Kept] = field(default_factory=list)

    def start(self, part: Part, now: float) -> Process:
        """Start a part and keep it running from now on; raises what stands in the way of this start."""
        kept = _Kept(part=part)
        process = self._launch(kept, now)
        self._kept.append(kept)
        return process

    def tick(self, now: float) -> None:
        """Look after every part once: bury what died, start what is due."""
        self.guard.check()
        for kept in self._kept:
            self._bury(kept, now)
            if kept.process is None and now >= kept.due:
                self._start_again(kept, now)

    def stop(self) -> None:
        """Stop all parts, the last started first, each to its end before the next."""
        for kept in reversed(self._kept):
            if kept.process is not None:
                self.report(kept.part.name, "stopping")
                kept.process.stop()
                self.guard.forget(kept.process)
        self._kept.clear()

    def _bury(self, kept: _Kept, now: float) -> None:
        if kept.process is None or (status := kept.process.ended()) is None:
            return
        kept.process.stop()
        self.guard.forget(kept.process)
        kept.process = None
        if now - kept.started >= _WELL_AFTER.total_seconds():
            kept.failures = 0
        self._postpone(kept, now, _how(status))

    def _start_again(self, kept: _Kept, now: float) -> None:
        try:
            process = self._launch(kept, now)
        except (TocsinError, OSError) as exc:
            self._postpone(kept, now, str(exc))
        else:
            self.report(kept.part.name, f"runs again as process {process.pid}")

    def _postpone(self, kept: _Kept, now: float, reason: str) -> None:
        pause = wait_after(kept.failures)
        kept.failures += 1
        kept.due = now + pause.total_seconds()
        self.report(kept.part.name, f"{reason}; starts again in {pause.total_seconds():g} s")

    def _launch(self, kept: _Kept, now: float) -> Process:
        kept.part.prepare()
        process = start(kept.part.command(), self.guard.environment)
        self.guard.watch(process)
        kept.process, kept.started = process, now
        self.follow(process)
        return process


def wait_after(failures: int) -> timedelta:
    """Give the pause before the next start after so many failures in a row: doubling, to half a minute."""
    doubled: timedelta = _SHORTEST * 2 ** min(failures, 20)
    return min(doubled, _LONGEST)


def _how(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended by itself with status {status}"
