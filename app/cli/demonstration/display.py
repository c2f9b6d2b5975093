"""Showing a show: a live picture on a terminal, plain lines elsewhere."""

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from app.cli.demonstration.watch import Snapshot
from app.cli.output import cell
from app.domain.vocabulary import BreakerState, Priority, Status

_SHOWN = (
    Status.PENDING, Status.PROCESSING, Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.FAILED,
    Status.HELD, Status.SUPPRESSED,
)  # fmt: skip
_NEWS = 8  # lines
_EVERY = 5.0  # seconds
_BREAKER_COLOURS = {
    BreakerState.CLOSED: "green",
    BreakerState.HALF_OPEN: "yellow",
    BreakerState.OPEN: "bold red",
}


@dataclass
class Display:
    """What is shown of a show; `say` may be called by any thread."""

    out: TextIO
    _began: float = field(default_factory=time.monotonic)
    _news: deque[str] = field(default_factory=lambda: deque(maxlen=_NEWS))
    _lock: Lock = field(default_factory=Lock)
    _live: Live | None = None
    _breakers: Mapping[str, str] = field(default_factory=dict)
    _told_at: float = 0.0
    _told: str = ""

    def say(self, what: str) -> None:
        """Tell of something that happens now."""
        line = f"{time.monotonic() - self._began:5.1f} s  {what}"
        with self._lock:
            self._news.append(line)
            if self._live is None:
                print(line, file=self.out, flush=True)

    def show(self, snapshot: Snapshot) -> None:
        """Show how things stand."""
        self._tell_of_breakers(snapshot)
        if self._live is not None:
            self._live.update(self._picture(snapshot))
        elif time.monotonic() - self._told_at >= _EVERY and (line := _in_a_line(snapshot)) != self._told:
            self._told_at, self._told = time.monotonic(), line
            self.say(line)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Draw the picture inside the block, where there is a terminal to draw it on."""
        console = Console(file=self.out)
        if not console.is_terminal:
            yield
            return
        with Live(console=console, refresh_per_second=4) as self._live:
            yield
        self._live = None

    def _tell_of_breakers(self, snapshot: Snapshot) -> None:
        for gateway, state in snapshot.breakers.items():
            if self._breakers and self._breakers.get(gateway) != state:
                self.say(f"the breaker of {gateway} is {state.replace('_', '-')}")
        self._breakers = snapshot.breakers or self._breakers

    def _picture(self, snapshot: Snapshot) -> RenderableType:
        with self._lock:
            news = Text("\n".join(self._news))
        notice = Text("" if snapshot.answers else "the API does not answer at the moment", style="bold red")
        return Group(_lanes(snapshot), _gateways(snapshot), news, notice)


def on_terminal(*, for_programs: bool) -> Display:
    """Show on standard output, or on standard error where that is kept for JSON."""
    return Display(out=sys.stderr if for_programs else sys.stdout)


def _lanes(snapshot: Snapshot) -> Table:
    table = Table("lane", "due", "in flight", "oldest", *_SHOWN, box=SIMPLE_HEAD, pad_edge=False)
    for lane in snapshot.lanes:
        counts = _of_lane(snapshot, Priority(lane["priority"]))
        oldest = lane["oldest_age_seconds"]
        table.add_row(
            cell(f"{lane['priority']} {lane['name']}"),
            cell(_more(lane, "due")),
            cell(_more(lane, "processing")),
            cell("-" if oldest is None else f"{oldest:.1f} s"),
            *(cell(f"{counts.get(status, 0):,}") for status in _SHOWN),
        )
    return table


def _of_lane(snapshot: Snapshot, priority: Priority) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, of_audience in snapshot.counts.items():
        if name.startswith(priority):
            counts.update({status: of_audience.get(status, 0) for status in _SHOWN})
    return counts


def _more(lane: Mapping[str, Any], name: str) -> str:
    return f"{lane[name]:,}{'+' if name in lane['at_least'] else ''}"


def _gateways(snapshot: Snapshot) -> Table:
    table = Table("gateway", "breaker", "accepted", "per s", "fault", box=SIMPLE_HEAD, pad_edge=False)
    for gateway in snapshot.gateways:
        name, breaker = gateway["gateway"], gateway["breaker"]
        fault = snapshot.faults.get(name)
        table.add_row(
            cell(name),
            Text(breaker.replace("_", "-"), style=_BREAKER_COLOURS.get(breaker, "")),
            cell(f"{gateway['sent']:,}"),
            cell(f"{gateway['per_second']:.0f}"),
            Text(fault["mode"] if fault else "", style="bold red"),
        )
    return table


def _in_a_line(snapshot: Snapshot) -> str:
    if not snapshot.answers:
        return "the API does not answer at the moment"
    parts = []
    for name, counts in sorted(snapshot.counts.items()):
        shown = ", ".join(f"{counts[status]} {status}" for status in _SHOWN if counts.get(status))
        parts.append(f"{name}: {shown or 'nothing yet'}")
    return "; ".join(parts)
