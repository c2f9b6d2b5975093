from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.db.redis import short_client
from app.domain.vocabulary import Priority
from app.limits.paces import Paces, flow_of
from app.limits.tokens import Ask, Tokens


@pytest.fixture
def tokens(client, clock):
    return Tokens(client, prefix="comm:rate:", reserve=0.2, clock=clock)


@pytest.fixture
def paces(client, clock):
    return Paces(client, prefix="comm:rate:", clock=clock)


def send(tokens, clock, per_second, seconds=10, gateway="smtp"):
    for _ in range(seconds):
        tokens.take([Ask(limits=(flow_of(gateway),), count=per_second)], Priority.P3)
        clock.pass_(seconds=1)


def lower(paces, part="*", share=1.0, times=1000):
    return paces.lower("smtp", part, share=share, why="421 4.7.0: slow down", times=times)


def now(paces, part="*"):
    return paces.all().get(("smtp", part))


def test_a_gateway_that_says_too_fast_is_sent_to_at_half_the_pace(tokens, paces, clock):
    send(tokens, clock, 100)
    pace = lower(paces)
    assert (pace.per_second, pace.usual) == (pytest.approx(50, rel=0.15), pytest.approx(100, rel=0.15))


def test_a_part_s_pace_is_its_share_of_what_the_gateway_is_sent(tokens, paces, clock):
    send(tokens, clock, 100)
    assert lower(paces, "google", share=0.4).usual == pytest.approx(40, rel=0.15)
    assert now(paces) is None


def test_who_began_to_send_a_moment_ago_is_measured_by_that_moment(tokens, paces, clock):
    send(tokens, clock, 100, seconds=4)
    assert lower(paces).usual >= 80


def test_answers_to_one_burst_lower_it_once(tokens, paces, clock):
    send(tokens, clock, 100)
    lower(paces)
    clock.pass_(seconds=4)
    assert lower(paces) is None
    clock.pass_(seconds=2)
    assert lower(paces).per_second == pytest.approx(26, rel=0.15)


def test_it_creeps_up_until_it_is_as_usual(tokens, paces, clock):
    send(tokens, clock, 100)
    begin = lower(paces).per_second
    seen = []
    for _ in range(5):
        clock.pass_(seconds=20)
        seen.append(now(paces).per_second)
    assert sorted(seen) == seen
    assert begin < seen[0] < 1.2 * begin
    clock.pass_(seconds=60)
    assert now(paces) is None


def test_it_never_falls_below_a_twentieth_of_the_usual(tokens, paces, clock):
    send(tokens, clock, 100)
    for _ in range(20):
        lower(paces)
        clock.pass_(seconds=6)
    assert now(paces).factor >= 0.05
    assert now(paces).factor < 0.06


def test_a_quiet_gateway_is_not_brought_to_a_halt(paces, clock):
    first = lower(paces)
    assert (first.per_second, first.usual) == (pytest.approx(5), pytest.approx(10))
    for _ in range(20):
        clock.pass_(seconds=6)
        lower(paces)
    assert now(paces).per_second >= 1


def test_a_few_refusals_among_many_messages_lower_nothing(tokens, paces, clock):
    send(tokens, clock, 100)
    assert lower(paces, times=10) is None
    assert now(paces) is None


def test_single_refusals_of_a_quiet_gateway_lower_nothing(paces, clock):
    for _ in range(20):
        assert lower(paces, times=1) is None
        clock.pass_(seconds=3)


def test_a_gateway_that_refuses_again_and_again_is_slowed_down_however_quiet(paces, clock):
    lowered = [lower(paces, times=1) for _ in range(5)]
    assert [pace is None for pace in lowered] == [True] * 4 + [False]


def test_a_small_part_that_refuses_most_of_its_own_is_slowed_down(tokens, paces, clock):
    send(tokens, clock, 100)
    assert lower(paces, "shop.example", share=0.005, times=5).usual == pytest.approx(10)
    assert lower(paces, "google", share=0.9, times=5) is None


def test_refusals_of_the_last_seconds_count_together(tokens, paces, clock):
    send(tokens, clock, 100)
    assert lower(paces, times=10) is None
    assert lower(paces, times=10).per_second == pytest.approx(50, rel=0.15)


def test_refusals_of_long_ago_do_not_count(tokens, paces, clock):
    send(tokens, clock, 100)
    lower(paces, times=10)
    clock.pass_(seconds=11)
    send(tokens, clock, 100)
    assert lower(paces, times=10) is None


def test_what_was_refused_leaves_nothing_behind(tokens, paces, clock, client):
    send(tokens, clock, 100)
    lower(paces, times=1)
    assert 0 < client.pttl("comm:rate:{limits}:paces:said") <= 20_000


def test_a_pace_limits_all_but_emergencies(tokens, paces, clock):
    send(tokens, clock, 100)
    limit = lower(paces).limit
    clock.pass_(seconds=1)
    ask = Ask(limits=(limit,), count=200)
    assert tokens.take([ask], Priority.P3)[0].taken <= 45
    assert tokens.take([ask], Priority.P0)[0].taken == 200


def test_what_is_over_is_tidied_away(tokens, paces, clock, client):
    send(tokens, clock, 100)
    lower(paces)
    clock.pass_(minutes=10)
    paces.tidy()
    assert not client.exists("comm:rate:{limits}:paces")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 500),
    st.lists(st.tuples(st.booleans(), st.floats(0.5, 120)), max_size=30),
)
def test_a_pace_stays_between_its_bounds(valkey, make_clock, rate, walk):
    clock = make_clock()
    with short_client(valkey.url()) as client:
        client.flushall()
        tokens = Tokens(client, prefix="", reserve=0.2, clock=clock)
        paces = Paces(client, prefix="", clock=clock)
        send(tokens, clock, rate, seconds=3)
        usual = lower(paces).usual
        for is_lowered, pause in walk:
            clock.now += timedelta(seconds=pause)
            if is_lowered:
                lower(paces)
            pace = now(paces)
            if pace:
                assert 0.049 <= pace.factor < 1
                assert pace.per_second <= max(usual, pace.usual)
