"""What has grown is told once, as a share of the waits that it leaves; what has not is not told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.capacity import EVERYTHING, Capacity, Growth, growth

HOURLY = {"domain:gmail.com": (None, None, 100, None)}


def grown(before, now):
    return growth(before, now)[0]


def test_where_nothing_has_changed_nothing_has_grown():
    capacity = Capacity(gateways={"email ses": ""}, limits=HOURLY, paces={"pace:ses|*": 2.0}, resets={"*": 1})
    assert growth(capacity, capacity) == ([], capacity)


@pytest.mark.parametrize(
    "figures",
    [(None, None, 101, None), (None, None, None, None), (None, None, 400, 1_000), (5, None, 200, None)],
)
def test_who_waits_for_a_limit_that_lets_more_through_waits_no_more(figures):
    now = Capacity(limits={"domain:gmail.com": figures})
    assert grown(Capacity(limits=HOURLY), now) == [Growth(0.0, limit="domain:gmail.com")]


def test_who_waits_for_a_limit_that_is_gone_waits_no_more():
    assert grown(Capacity(limits=HOURLY), Capacity()) == [Growth(0.0, limit="domain:gmail.com")]


@pytest.mark.parametrize("figures", [(None, None, 50, None), (None, None, 100, 10), (None, None, 100, None)])
def test_a_lowered_limit_calls_nobody(figures):
    assert grown(Capacity(limits=HOURLY), Capacity(limits={"domain:gmail.com": figures})) == []


def test_a_gateway_that_is_there_again_is_told():
    assert grown(Capacity(), Capacity(gateways={"email ses": ""})) == [Growth(0.0, gateway="email ses")]


def test_a_gateway_that_got_another_place_is_told():
    before, now = ({"email ses": since} for since in ("", "2027-01-15"))
    assert grown(Capacity(gateways=before), Capacity(gateways=now)) == [Growth(0.0, gateway="email ses")]


def test_a_gateway_that_is_gone_calls_nobody():
    assert grown(Capacity(gateways={"email ses": ""}), Capacity()) == []


@pytest.mark.parametrize("key", ["domain:gmail.com", EVERYTHING])
def test_who_waits_for_a_limit_that_was_reset_waits_no_more(key):
    assert grown(Capacity(resets={key: 1}), Capacity(resets={key: 2})) == [Growth(0.0, limit=key)]


def test_a_limit_that_was_raised_and_reset_is_told_once():
    before = Capacity(limits=HOURLY, resets={"domain:gmail.com": 1})
    assert len(grown(before, Capacity(resets={"domain:gmail.com": 2}))) == 1


def test_counts_of_resets_that_were_lost_call_nobody():
    assert grown(Capacity(resets={EVERYTHING: 3}), Capacity()) == []


def test_a_pace_that_creeps_up_is_told_when_it_has_doubled():
    known, told = Capacity(paces={"pace:ses|*": 1.0}), []
    for pace in (1.3, 1.7, 2.2, 3.0, 4.0, 4.5):
        found, known = growth(known, Capacity(paces={"pace:ses|*": pace}))
        told.append([round(each.share, 2) for each in found])
    assert told == [[], [], [0.45], [], [], [0.49]]


def test_a_pace_that_is_lowered_again_is_measured_from_there():
    _, known = growth(Capacity(paces={"pace:ses|*": 4.0}), Capacity(paces={"pace:ses|*": 1.0}))
    assert grown(known, Capacity(paces={"pace:ses|*": 2.0})) == [Growth(0.5, limit="pace:ses|*")]


def test_a_pace_that_is_over_makes_nobody_wait():
    assert grown(Capacity(paces={"pace:ses|*": 4.0}), Capacity()) == [Growth(0.0, limit="pace:ses|*")]


@given(st.lists(st.floats(0.5, 64), min_size=2))
def test_what_a_pace_grew_by_is_never_told_twice(walk):
    """Waits that shrink with every growth fit the pace of now, or one up to twice as slow."""
    known = Capacity(paces={"p": walk[0]})
    wait = 1 / walk[0]
    for pace in walk[1:]:
        found, following = growth(known, replace(known, paces={"p": pace}))
        wait *= found[0].share if found else 1
        if pace < known.paces["p"]:
            # Who waits already is not told to wait longer; who comes is.
            wait = 1 / pace
        known = following
        assert wait == pytest.approx(1 / known.paces["p"])
        assert known.paces["p"] <= pace < 2 * known.paces["p"] + 1e-9
