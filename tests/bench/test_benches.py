"""Each bench runs to its end with next to nothing to do. What it measures then says nothing."""

import os
from importlib import import_module

import pytest

from bench.sizes import Size

LONG = pytest.mark.skipif(
    "TOCSIN_LONG_TESTS" not in os.environ, reason="takes minutes; set TOCSIN_LONG_TESTS to run it"
)


LONG_ONES = ("bulk", "crash", "drain_latency", "failover", "p0", "soak", "start")


@pytest.mark.parametrize(
    "name",
    ["accept", "backlog", "console", "drain", "drain_batch", "webhooks"]
    + [pytest.param(name, marks=LONG) for name in LONG_ONES],
)
def test_every_bench_comes_to_figures(name):
    result = import_module(f"bench.{name}").run(Size(share=0.001, kills=3))
    assert result.bench == name.replace("_", "-")
    assert result.figures
    assert any(figure.bar for figure in result.figures)
