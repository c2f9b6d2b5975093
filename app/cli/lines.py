"""What a running system tells the terminal: one line for each thing that matters, headed by who says it."""

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import IO, TextIO

import click

from app.embedded.process import Process

_WIDTH = 9
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_magenta")


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Writes whole lines, also when many threads have something to say."""

    out: TextIO
    _lock: Lock = field(default_factory=Lock)

    def say(self, name: str, text: str) -> None:
        """Write what `name` says, a line at a time."""
        # The terminal may be gone; that must not keep us from stopping in order.
        with self._lock, suppress(OSError):
            for line in text.splitlines() or [""]:
                click.echo(f"{self._head(name)} {line}", file=self.out)

    def follow(self, process: Process) -> None:
        """Write what the process prints, from now until it closes its output."""
        if process.lines is not None:
            arguments = (process.command.name, process.lines)
            Thread(target=self._copy, args=arguments, name=f"lines of {process.pid}", daemon=True).start()

    def _copy(self, name: str, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                self.say(name, line.decode(errors="replace").rstrip())

    def _head(self, name: str) -> str:
        colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
        head = f"{name:>{_WIDTH}} │"
        return click.style(head, fg=colour) if self.out.isatty() else head


def on_terminal() -> Lines:
    """Write to standard output."""
    return Lines(out=sys.stdout)
