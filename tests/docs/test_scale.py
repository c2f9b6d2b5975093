"""The page on scale says what the code does, and reckons right."""

import re
from math import ceil
from pathlib import Path

import pytest

from app.domain.lanes import LANES
from app.domain.vocabulary import Priority

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text("utf-8")


def row(head):
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {head}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize("priority", list(Priority))
def test_the_bounds_and_the_pace_of_each_lane_are_as_told(priority):
    lane = LANES[priority]
    least, most, grows, _ = row(f"{lane.name} ({priority})")
    assert (int(least), int(most)) == (lane.min_threads, lane.max_threads)
    if lane.grow_by:
        told = re.fullmatch(r"(\d+) (?:a second|each (\d+) s)", grows)
        assert (int(told[1]), int(told[2] or 1)) == (lane.grow_by, lane.grow_every.total_seconds())


@pytest.mark.parametrize(
    ("head", "each"),
    [
        ("Worker processes at", 4_600),
        ("Web processes for accepting", 1_190),
        ("Web processes for webhooks", 1_253),
    ],
)
def test_what_is_reckoned_is_right(head, each):
    assert [int(cell) for cell in row(head)] == [
        pytest.approx(ceil(rate / each), abs=1) for rate in (1e3, 1e4, 1e5)
    ]


def test_what_is_in_flight_is_rate_by_time():
    cells = [int(cell.replace(",", "")) for cell in row("Requests in flight at a gateway of 0.2 s")]
    assert cells == [rate / 5 for rate in (1_000, 10_000, 100_000)]


@pytest.mark.parametrize(("head", "micros"), [("Worker cores", 185), ("PostgreSQL cores", 75)])
def test_cores_are_rates_by_what_a_message_costs(head, micros):
    assert [float(cell) for cell in row(head)] == pytest.approx(
        [rate * micros / 1e6 for rate in (1e3, 1e4, 1e5)], rel=0.35
    )
