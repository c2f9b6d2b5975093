"""A lane's threads follow its load: quickly up, slowly down, never beyond their bounds."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lanes import LANES
from app.domain.staffing import Load, Wish, first_wish, layout, needed_for, wish
from app.domain.vocabulary import Priority

FOLLOWING = ["P1", "P2", "P3", "P4"]
NOTHING = {"due": 0, "oldest": timedelta(0), "busy": 0}


def seconds(number):
    return timedelta(seconds=number)


def burst(wish, due=1_000_000, **changes):
    """A load that keeps every thread busy, with much more behind it."""
    load = {"due": due, "oldest": seconds(1), "busy": wish.threads, "running": wish.threads, **changes}
    return Load(**load)


def follow(priority, loads, *, each=1.0):
    """Look every second; gives the threads wished for after each look."""
    lane = LANES[Priority(priority)]
    wished, found = first_wish(lane, seconds(0)), []
    for number, load in enumerate(loads, start=1):
        wished = wish(lane, load(wished), wished, seconds(number * each))
        found.append(wished.threads)
    return found


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        ("P1", [10, 15, 20, 25, 30, 30, 30, 30, 30]),
        ("P2", [6, 6, 6, 9, 9, 9, 12, 12, 12]),
        ("P3", [8, 8, 8, 11, 11, 11, 14, 14, 14]),
        ("P4", [4, 6, 8, 10, 10, 10, 10, 10, 10]),
    ],
)
def test_in_a_burst_a_lane_grows_by_its_steps_up_to_its_most(priority, expected):
    assert follow(priority, [burst] * 9) == expected


def test_emergencies_are_never_touched():
    assert set(follow("P0", [burst] * 5 + [lambda _: Load(running=10, **NOTHING)] * 90)) == {10}


@pytest.mark.parametrize(("priority", "least", "most"), [("P1", 5, 30), ("P2", 3, 20), ("P3", 5, 25)])
def test_after_a_burst_a_lane_shrinks_slowly_and_not_below_its_least(priority, least, most):
    calm = [lambda wished: Load(running=wished.threads, **NOTHING)]
    wished = follow(priority, [burst] * 60 + calm * 400)
    assert wished[59:90] == [most] * 31
    assert wished[90] == most - 1
    # One each ten seconds.
    assert wished[100] == most - 2
    assert wished[-1] == least
    assert {before - after for before, after in pairwise(wished[60:])} == {0, 1}


def test_a_short_calm_keeps_everybody():
    calm = [lambda wished: Load(running=wished.threads, **NOTHING)]
    wished = follow("P1", [burst] * 6 + (calm * 25 + [burst]) * 4)
    assert set(wished[4:]) == {30}


def test_threads_that_stand_idle_beside_waiting_work_get_no_company():
    """The lane is held back, stopped or limited: it lacks leave, not hands."""
    assert follow("P1", [lambda wished: burst(wished, busy=0)] * 5) == [5] * 5


def test_a_lane_that_wants_for_cpu_does_not_grow():
    assert follow("P3", [lambda wished: burst(wished, crowded=True)] * 5) == [5] * 5


def test_each_claim_that_waits_is_worth_a_thread():
    lane = LANES[Priority.P3]
    assert needed_for(lane, Load(due=1_001, oldest=seconds(0), busy=5, running=5)) == 5 + 3


def test_a_few_messages_that_have_waited_long_are_worth_a_whole_step():
    lane = LANES[Priority.P1]
    few = {"due": 2, "busy": 5, "running": 5}
    assert needed_for(lane, Load(oldest=seconds(16), **few)) == 10
    assert needed_for(lane, Load(oldest=seconds(14), **few)) == 6


def test_what_is_needed_is_told_also_beyond_the_bounds():
    lane = LANES[Priority.P4]
    wished = wish(
        lane, Load(due=10_000, oldest=seconds(1), busy=2, running=2), first_wish(lane, seconds(0)), seconds(1)
    )
    assert (wished.threads, wished.needed) == (4, 102)


LOADS = st.builds(
    Load,
    due=st.integers(0, 100_000),
    oldest=st.integers(0, 4000).map(seconds),
    busy=st.integers(0, 40),
    running=st.integers(0, 40),
    crowded=st.booleans(),
)


@given(st.sampled_from(FOLLOWING), st.lists(st.tuples(st.floats(0.1, 20), LOADS), max_size=60))
def test_whatever_the_load_no_bound_and_no_pace_is_passed(priority, course):
    lane = LANES[Priority(priority)]
    now, wished = seconds(0), first_wish(lane, seconds(0))
    changes = [(now - seconds(60), 0)]
    for passed, load in course:
        now += seconds(passed)
        before, wished = wished, wish(lane, load, wished, now)
        assert lane.min_threads <= wished.threads <= lane.max_threads
        step = wished.threads - before.threads
        assert -1 <= step <= lane.grow_by
        if step:
            pace = lane.grow_every if step > 0 else seconds(10)
            assert now - changes[-1][0] >= pace
            changes.append((now, step))


@given(LOADS, st.integers(1, 25))
def test_settings_that_were_changed_are_obeyed_at_once(load, threads):
    lane = LANES[Priority.P3].changed(min_threads=7, max_threads=9)
    before = Wish(threads=threads, needed=0, changed_at=seconds(0))
    assert 7 <= wish(lane, load, before, seconds(100)).threads <= 9


@pytest.mark.parametrize(
    ("threads", "sizes"),
    [(5, (5,)), (8, (5, 3)), (10, (5, 5)), (13, (7, 6)), (25, (13, 12)), (27, (13, 13, 1))],
)
def test_threads_fill_a_process_for_each_core_and_then_all_of_them(threads, sizes):
    assert layout(threads, each=5, cores=2, most=13) == sizes


def test_with_many_cores_processes_stay_small():
    assert layout(30, each=5, cores=16, most=13) == (5,) * 6


@given(st.integers(1, 60), st.integers(1, 10), st.integers(1, 32), st.integers(1, 20))
def test_every_thread_has_a_process_and_none_too_many(threads, each, cores, most):
    sizes = layout(threads, each=each, cores=cores, most=most)
    assert sum(sizes) == threads
    assert all(0 < size <= most for size in sizes)
    assert len(sizes) <= max(cores, -(-threads // most))


@given(st.integers(1, 60), st.integers(1, 10), st.integers(1, 32), st.integers(10, 20))
def test_growing_takes_no_thread_away_from_any_process(threads, each, cores, most):
    before = layout(threads, each=each, cores=cores, most=most)
    after = layout(threads + 1, each=each, cores=cores, most=most)
    assert len(after) >= len(before)
    assert all(new >= old for new, old in zip(after, before, strict=False))
