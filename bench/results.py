"""Saying what was measured: a table, a file, the machine."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import orjson
from rich.console import Console
from rich.table import Table

from bench.processes import PROJECT

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How good is good enough: at least, or at most, a value."""

    at_least: float | None = None
    at_most: float | None = None
    where: str = ""

    def __str__(self) -> str:
        sign, value = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{sign} {short(value or 0)}{self.where and f' {self.where}'}"

    def is_met(self, value: float) -> bool:
        """Tell whether a value is good enough."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)

    @property
    def is_promise(self) -> bool:
        """Tell whether not a single case may be otherwise, on any machine."""
        return self.at_most == 0

    def score(self, value: float) -> float:
        """Tell how many times better than the bar a value is; from a thousandth to a thousand."""
        better, worse = (value, self.at_least) if self.at_least is not None else (self.at_most, value)
        if not better or not worse:
            return 1.0 if self.is_met(value) else 0.001
        return min(max(better / worse, 0.001), 1000.0)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured thing: every sample, its unit, and the bar it is held against."""

    name: str
    unit: str
    samples: tuple[float, ...]
    bar: Bar | None = None

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def passed(self) -> bool | None:
        return None if self.bar is None else self.bar.is_met(self.value)


@dataclass(kw_only=True)
class Result:
    """What one bench came to."""

    bench: str
    what: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        unit: str,
        *samples: float,
        at_least: float | None = None,
        at_most: float | None = None,
        where: str = "",
    ) -> float:
        """Add a figure; gives its median."""
        bar = None
        if at_least is not None or at_most is not None:
            bar = Bar(at_least=at_least, at_most=at_most, where=where)
        figure = Figure(name=name, unit=unit, samples=samples, bar=bar)
        self.figures.append(figure)
        return figure.value

    def note(self, text: str) -> None:
        """Add a line for people."""
        self.notes.append(text)

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.passed is False]

    @property
    def broken(self) -> list[Figure]:
        """List the promises that were not kept, which a busy machine does not excuse."""
        return [figure for figure in self.missed if figure.bar and figure.bar.is_promise]

    def show(self, console: Console) -> None:
        """Print a table."""
        table = Table("figure", "median", "unit", "samples", "bar", "", title=f"{self.bench}: {self.what}")
        for figure in self.figures:
            verdict = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[figure.passed]
            samples = " ".join(short(sample) for sample in figure.samples) if len(figure.samples) > 1 else ""
            bar = str(figure.bar or "")
            table.add_row(figure.name, short(figure.value), figure.unit, samples, bar, verdict)
        console.print(table)
        for text in self.notes:
            console.print(f"  {text}", highlight=False, soft_wrap=True)


def machine() -> dict[str, object]:
    """Describe the machine."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in facts if "model name" in line), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def in_words(about: dict[str, object]) -> str:
    """Say in one line what machine this is."""
    return (
        f"{about['cores']} x {about['cpu']}, {about['memory_mib']} MiB, {about['system']}, "
        f"Python {about['python']}, load {about['load_before']:.1f}"
    )


def write(results: Sequence[Result], about: dict[str, object], share: float) -> Path:
    """Keep the results in a file named after the day, each bench under its name and the latest run wins."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    kept = orjson.loads(path.read_bytes()) if path.exists() else {"benches": {}}
    kept["machine"], kept["commit"] = about, _commit()
    for result in results:
        kept["benches"][result.bench] = {
            "what": result.what,
            "share": share,
            "figures": {figure.name: _kept(figure) for figure in result.figures},
            "notes": result.notes,
        }
    path.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    return path


def percentile(samples: Sequence[float], share: int) -> float:
    """Give the value below which so many of a hundred samples are."""
    if len(samples) == 1:
        return samples[0]
    return quantiles(samples, n=100, method="inclusive")[share - 1]


def short(value: float) -> str:
    """Write a number with three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _kept(figure: Figure) -> dict[str, object]:
    return {
        "median": figure.value,
        "unit": figure.unit,
        "samples": figure.samples,
        "bar": str(figure.bar or ""),
        "score": figure.bar.score(figure.value) if figure.bar else None,
        "passed": figure.passed,
    }


def _commit() -> str:
    command = ("git", "rev-parse", "--short", "HEAD")
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)  # noqa: S603 - git
    return found.stdout.strip()
