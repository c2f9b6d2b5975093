"""What follows from counts: rates, percentiles, and what share of its messages a gateway gets."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vitals import BOUNDS, Vitals, added, next_share, usual_p95

LONG = timedelta(hours=1)


def timed(*milliseconds):
    vitals = Vitals()
    for each in milliseconds:
        vitals.time(timedelta(milliseconds=each))
    return vitals


def test_success_is_the_share_of_what_was_tried():
    assert Vitals(accepted=97, failed=3).success_rate == 0.97


def test_nothing_tried_is_no_success_and_no_failure():
    assert (Vitals().success_rate, Vitals().mean_ms, Vitals().percentile(0.95)) == (None, None, None)


def test_counts_of_stretches_add_up():
    total = added([timed(10, 20), timed(30)])
    assert (total.requests, total.latency_ms, total.mean_ms) == (3, 60, 20)


@given(st.lists(st.integers(1, 29_000), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(latencies, share):
    true = sorted(latencies)[max(-(-round(share * len(latencies) * 100) // 100) - 1, 0)]
    found = timed(*latencies).percentile(share)
    edges = [0, *BOUNDS]
    bucket = next(place for place, edge in enumerate(edges) if true <= edge)
    below = edges[max(bucket - 2, 0)]
    assert below <= found <= edges[min(bucket + 1, len(edges) - 1)]


def test_a_percentile_inside_a_bucket_is_found_in_proportion():
    assert [timed(*[90] * 10).percentile(share) for share in (0.2, 0.5, 1.0)] == [80.0, 87.5, 100.0]


def test_what_took_as_long_as_a_bucket_s_bound_is_in_that_bucket():
    assert [timed(milliseconds).latencies.index(1) for milliseconds in (99, 100, 101)] == [5, 5, 6]


def slow(share, since=LONG, usual=100.0):
    return next_share(share, timed(*[900] * 30), usual, since)


def well(share, since=LONG):
    return next_share(share, timed(*[90] * 30), 100.0, since)


def steps(begin, step):
    found, share = [], begin
    while (following := step(share)) != share:
        share = following
        found.append(share)
    return found


def test_a_slow_gateway_loses_its_share_in_three_steps_and_keeps_a_tenth():
    assert steps(1.0, slow) == [0.5, 0.25, 0.1]


def test_it_comes_back_by_smaller_steps():
    assert steps(0.1, well) == [0.2, 0.35, 0.5, 0.7, 0.85, 1.0]


@pytest.mark.parametrize(("step", "pause"), [(slow, 20), (well, 30)])
def test_each_step_is_given_time_to_show(step, pause):
    assert step(0.5, timedelta(seconds=pause - 1)) == 0.5
    assert step(0.5, timedelta(seconds=pause)) != 0.5


def test_ten_percent_of_slow_answers_are_enough():
    vitals = timed(*[90] * 27, *[900] * 3)
    assert next_share(1.0, vitals, 100.0, LONG) == 0.5


def test_a_few_slow_ones_are_not():
    vitals = timed(*[90] * 99, 5000)
    assert next_share(1.0, vitals, 100.0, LONG) == 1.0


def test_too_few_answers_say_nothing():
    assert next_share(1.0, timed(*[9000] * 19), 100.0, LONG) == 1.0


def test_what_is_slow_but_usual_is_left_alone():
    assert slow(1.0, usual=850.0) == 1.0


def test_thrice_of_next_to_nothing_is_not_slow():
    assert next_share(1.0, timed(*[60] * 30), 5.0, LONG) == 1.0


def test_a_little_more_than_next_to_nothing_is_well():
    assert next_share(0.5, timed(*[90] * 30), 5.0, LONG) == 0.7


def test_nothing_is_slow_while_nobody_knows_what_is_usual():
    assert slow(1.0, usual=None) == 1.0


def test_a_gateway_of_which_nothing_is_seen_comes_back_too_but_later():
    assert next_share(0.1, Vitals(), 100.0, timedelta(seconds=119)) == 0.1
    assert next_share(0.1, Vitals(), 100.0, timedelta(seconds=120)) == 0.2


def test_an_hour_of_trouble_does_not_become_usual():
    day = [timed(*[90] * 30) for _ in range(138)] + [timed(*[9000] * 30) for _ in range(6)]
    assert 75 <= usual_p95(day) <= 100


def test_two_stretches_are_too_few_to_say_what_is_usual():
    assert usual_p95([timed(*[90] * 30)] * 2) is None


def test_stretches_in_which_hardly_anything_was_sent_do_not_say_what_is_usual():
    assert usual_p95([timed(*[90] * 19)] * 5) is None
    assert usual_p95([timed(*[9000] * 19)] * 5 + [timed(*[90] * 20)] * 3) <= 100
