"""The table of docs/metrics.md, made out of what is registered: `python -m tests.docs.metrics`."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import REGISTRY

from app.services import message_metrics, metrics
from app.services.gauges import TABLE

PAPER = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics -->", "<!-- end -->"

_MODULES = (message_metrics, metrics)
_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


def registered() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Give every metric by the name that queries use: its kind, meaning and labels."""
    found = {}
    for module in _MODULES:
        for metric in vars(module).values():
            if type(metric) in _KINDS and metric in REGISTRY._collector_to_names:
                kind = _KINDS[type(metric)]
                name = f"{metric._name}_total" if kind == "counter" else metric._name
                found[name] = (kind, metric._documentation, tuple(metric._labelnames))
    found |= {name: ("looked up", meaning, labels) for name, (meaning, labels) in TABLE.items()}
    return dict(sorted(found.items()))


def series() -> set[str]:
    """Give the names of all series, those of a histogram's parts too."""
    names = set()
    for name, (kind, _, _) in registered().items():
        names.add(name)
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def lines() -> Iterator[str]:
    yield "| metric | kind | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, (kind, meaning, labels) in registered().items():
        yield f"| `{name}` | {kind} | {', '.join(labels) or 'none'} | {meaning} |"


def written(text: str) -> str:
    """Put the table into a text, between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return "\n".join([head + BEGIN, *lines(), END + tail])


if __name__ == "__main__":
    PAPER.write_text(written(PAPER.read_text(encoding="utf-8")), encoding="utf-8")
