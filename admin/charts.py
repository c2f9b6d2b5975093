"""Charts as shapes: a drawing that scales to any width, with its words beside it in HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, log10

from app.domain.vocabulary import Priority
from app.services.throughput import Slice, Span, Throughput

WIDTH, HEIGHT = 600, 180


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One quantity over time. `look` names its colour and dash; `path` is its line or its area."""

    name: str
    look: int
    values: Sequence[int]
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart: its series, the times of its steps, the round figure at its top, and whether areas stack."""

    series: Sequence[Series]
    times: Sequence[datetime]
    top: int
    stacked: bool
    span: Span
    until: datetime | None

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to draw."""
        return not any(any(each.values) for each in self.series)


STATUS_NAMES = (
    ("queued", "accepted"),
    ("sent", "sent"),
    ("delivered", "delivered"),
    ("bounced", "bounced"),
    ("failed", "failed or expired"),
)


def by_status(found: Throughput) -> Chart:
    """Draw a line for each status: a message counts in each that it came to."""
    values = [(name, [_status(each, status) for each in found.slices]) for status, name in STATUS_NAMES]
    return _chart(found, values, _lines, stacked=False)


def by_priority(found: Throughput) -> Chart:
    """Stack what was sent of each priority."""
    values = [
        (priority.value, [each.by_priority.get(priority.value, 0) for each in found.slices])
        for priority in Priority
    ]
    return _chart(found, values, _areas, stacked=True)


def rounded_up(value: int) -> int:
    """Give the next round figure: 1, 2 or 5 and zeros."""
    if value <= 1:
        return max(value, 1)
    unit: int = 10 ** int(log10(value))
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= value)


_Values = Sequence[tuple[str, list[int]]]


def _status(each: Slice, status: str) -> int:
    found = each.by_status.get(status, 0)
    return found + each.by_status.get("expired", 0) if status == "failed" else found


def _chart(
    found: Throughput, values: _Values, draw: Callable[[list[list[int]], int], list[str]], *, stacked: bool
) -> Chart:
    columns = [numbers for _, numbers in values]
    heights = [sum(step) if stacked else max(step) for step in zip(*columns, strict=True)]
    top = rounded_up(max(heights, default=0))
    paths = draw(columns, top)
    series = [
        Series(name=name, look=look, values=numbers, path=path)
        for look, ((name, numbers), path) in enumerate(zip(values, paths, strict=True), start=1)
    ]
    return Chart(
        series=series,
        times=[each.at for each in found.slices],
        top=top,
        stacked=stacked,
        span=found.span,
        until=found.until,
    )


def _lines(columns: list[list[int]], top: int) -> list[str]:
    return ["M" + "L".join(_points(numbers, top)) for numbers in columns]


def _areas(columns: list[list[int]], top: int) -> list[str]:
    below = [0] * len(columns[0])
    paths = []
    for numbers in columns:
        above = [low + high for low, high in zip(below, numbers, strict=True)]
        edge = _points(above, top) + _points(below, top)[::-1]
        paths.append("M" + "L".join(edge) + "Z")
        below = above
    return paths


def _points(numbers: Sequence[int], top: int) -> list[str]:
    step = WIDTH / max(len(numbers) - 1, 1)
    return [
        f"{ceil(index * step * 10) / 10:g},{HEIGHT - number / top * HEIGHT:.1f}"
        for index, number in enumerate(numbers)
    ]
