"""Saying what was measured: a table, a file, the machine."""

import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import orjson
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(kw_only=True)
class Figure:
    """One measured thing: every sample, its unit, and the bar it is held against, in words."""

    name: str
    unit: str
    samples: list[float]
    bar: str = ""
    passed: bool | None = None

    @property
    def value(self) -> float:
        return median(self.samples)


@dataclass(kw_only=True)
class Result:
    """What one bench came to."""

    bench: str
    what: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, unit: str, *samples: float, bar: str = "", passed: bool | None = None) -> Figure:
        figure = Figure(name=name, unit=unit, samples=list(samples), bar=bar, passed=passed)
        self.figures.append(figure)
        return figure

    def show(self, console: Console) -> None:
        table = Table("figure", "median", "unit", "samples", "bar", "", title=f"{self.bench}: {self.what}")
        for figure in self.figures:
            verdict = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[figure.passed]
            samples = " ".join(_short(sample) for sample in figure.samples) if len(figure.samples) > 1 else ""
            table.add_row(figure.name, _short(figure.value), figure.unit, samples, figure.bar, verdict)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}")


def machine() -> dict[str, object]:
    """Describe the machine."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def write(results: list[Result], about: dict[str, object]) -> Path:
    """Keep the results in a file named after the day."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}.json"
    kept = orjson.loads(path.read_bytes()) if path.exists() else {"benches": {}}
    kept["machine"], kept["commit"] = about, _commit()
    for result in results:
        kept["benches"][result.bench] = {
            "what": result.what,
            "figures": {
                figure.name: {
                    "median": figure.value,
                    "unit": figure.unit,
                    "samples": figure.samples,
                    "bar": figure.bar,
                    "passed": figure.passed,
                }
                for figure in result.figures
            },
            "notes": result.notes,
        }
    path.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    return path


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=RESULTS.parent
    )
    return found.stdout.strip()


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
