import orjson
import pytest

from bench import results
from bench.picture import draw
from bench.results import Bar, Result, percentile
from bench.victims import Kill


@pytest.fixture
def result(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    return Result(bench="drain", what="messages")


@pytest.mark.parametrize(
    ("bar", "value", "met", "score"),
    [
        (Bar(at_least=0.8), 0.8, True, 1.0),
        (Bar(at_least=0.8), 0.4, False, 0.5),
        (Bar(at_most=25), 50, False, 0.5),
        (Bar(at_most=25), 12.5, True, 2.0),
        (Bar(at_most=0), 0, True, 1.0),
        (Bar(at_most=0), 1, False, 0.001),
    ],
)
def test_a_bar_is_met_or_missed_by_so_much(bar, value, met, score):
    assert bar.is_met(value) is met
    assert bar.score(value) == pytest.approx(score)


def test_a_figure_is_held_against_its_bar_by_its_median(result):
    assert result.add("rate", "messages/s", 1, 9, 5, at_least=5) == 5
    result.add("slow", "s", 3, at_most=2)
    assert [figure.name for figure in result.missed] == ["slow"]


def test_a_later_bench_of_the_day_leaves_the_earlier_ones(result):
    result.add("rate", "messages/s", 5, at_least=5)
    results.write([result], {"cpu": "x"}, 1.0)
    path = results.write([Result(bench="bulk", what="rows")], {"cpu": "y"}, 0.1)
    kept = orjson.loads(path.read_bytes())
    assert set(kept["benches"]) == {"drain", "bulk"}
    assert kept["benches"]["drain"]["figures"]["rate"]["samples"] == [5]
    assert kept["benches"]["bulk"]["share"] == 0.1


def test_the_picture_has_a_row_for_each_bar_and_escapes_names(result):
    result.add("a < b", "messages/s", 5, at_least=5)
    result.add("no bar", "ms", 1)
    about = {"cores": 2, "cpu": "A & B", "memory_mib": 1, "python": "3.11"}
    picture = draw(results.write([result], about, 1.0)).read_text()
    assert picture.count("<rect") == 1
    assert "drain: a &lt; b" in picture
    assert "A &amp; B" in picture


def test_percentiles_lie_between_the_samples():
    assert percentile([1, 2, 3], 50) == 2
    assert percentile([7], 99) == 7
    assert percentile(list(range(101)), 99) == 99


@pytest.mark.parametrize(("had_ledger", "bound"), [(True, 2), (False, 3)])
def test_more_may_be_unknown_where_the_ledger_went_too(had_ledger, bound):
    kill = Kill(kind="lane", at=0, messages=((1, 1), (2, 1), (3, 1)), in_flight=2, had_ledger=had_ledger)
    assert kill.bound == bound
