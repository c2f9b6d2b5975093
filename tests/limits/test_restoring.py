"""Counts after Redis was lost: each token is counted once, whoever holds it, and nobody takes too early."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.vocabulary import Priority
from app.errors import CountsLost
from app.limits.tokens import Ask, Limit, Tokens

GMAIL = Limit(key="domain:gmail.com", per_hour=100)
ONE = Ask(limits=(GMAIL,), count=1)
# The server's clock may be a moment behind ours.
AT_ONCE = timedelta(milliseconds=-100)


def now():
    return datetime.now(UTC)


def recount(tokens, *, snapshot=None, settling=AT_ONCE):
    tokens.recount({}, {}, snapshot=snapshot or now(), settling=settling)


def held(tokens):
    return tokens.usage([GMAIL])[0].per_hour


@pytest.fixture
def first(client):
    """A process that counts anew."""
    tokens = Tokens(client, prefix="", reserve=0.2, restored=True)
    recount(tokens)
    return tokens


@pytest.fixture
def second(client, first):
    """Another process, which has taken part."""
    tokens = Tokens(client, prefix="", reserve=0.2, restored=True)
    tokens.take([], Priority.P3)
    return tokens


def test_what_another_process_has_in_hand_is_counted_when_it_asks_again(client, first, second):
    second.holdings.hold([1, 2], ONE, now())
    client.flushdb()
    recount(first)
    assert held(first) == 0
    second.take([], Priority.P3)
    assert held(first) == 2


def test_a_process_whose_threads_are_all_on_the_wire_sees_it_too(client, first, second):
    second.holdings.hold([1, 2], ONE, now())
    client.flushdb()
    recount(first)
    second.look()
    assert held(first) == 2


def test_what_it_has_in_hand_is_counted_once_however_often_it_asks(client, first, second):
    second.holdings.hold([1], ONE, now())
    client.flushdb()
    recount(first)
    for _ in range(3):
        second.take([], Priority.P3)
        second.look()
    second._adopt(client.get("{limits}:life"))
    assert held(first) == 1


@pytest.mark.parametrize(
    ("later", "counted"),
    # Whoever reads PostgreSQL after it was settled knows of it; clocks differ a little.
    [(timedelta(seconds=-5), 1), (timedelta(milliseconds=100), 1), (timedelta(seconds=5), 0)],
)
def test_what_was_settled_before_the_counting_began_is_not_counted_twice(
    client, first, second, later, counted
):
    second.holdings.hold([1], ONE, now())
    second.holdings.settled([1])
    client.flushdb()
    recount(first, snapshot=now() + later)
    second.take([], Priority.P3)
    assert held(first) == counted


def test_until_others_had_time_to_add_theirs_nothing_but_emergencies_goes(client, first, second):
    client.flushdb()
    recount(first, settling=timedelta(seconds=30))
    with pytest.raises(CountsLost) as refused:
        second.take([ONE], Priority.P4)
    assert 25 < refused.value.seconds < 31
    assert second.take([ONE], Priority.P0)[0].taken == 1


def test_what_was_settled_long_ago_is_not_remembered_for_ever(first):
    first.holdings.hold([1, 2], ONE, now())
    first.holdings.settled([1])
    ((at, some),) = first.holdings._settled
    first.holdings._settled[0] = (at - timedelta(minutes=1), some)
    first.holdings.settled([2])
    assert len(first.holdings._settled) == 1


def test_what_another_server_counted_ahead_of_this_one_s_clock_counts_now_and_no_longer(client):
    clock = [datetime(2027, 1, 15, 8, 0, tzinfo=UTC)]
    tokens = Tokens(client, prefix="", reserve=0.2, clock=lambda: clock[0])
    tokens.restore({GMAIL: [(clock[0] + timedelta(minutes=5), 50)]})
    assert tokens.take([Ask(limits=(GMAIL,), count=80)], Priority.P3)[0].taken == 30
    clock[0] += timedelta(minutes=62)
    assert tokens.take([Ask(limits=(GMAIL,), count=80)], Priority.P3)[0].taken == 80
