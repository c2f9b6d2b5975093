"""What waits for tokens waits no longer than it must: it comes sooner when more may be sent than before."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import controls, rate_limits
from app.db.tables import gateways as gateway_rows
from app.domain.vocabulary import Channel, Priority
from app.errors import Unavailable
from app.limits.windows import Limit
from app.services.sending import lane
from app.services.sending.allowance import reason
from app.services.sending.memory import Memory
from app.services.sending.withholding import reason as stopped
from app.services.upkeep import growing
from app.services.upkeep.recalling import Recall
from tests.world import wait_for

MINUTE = timedelta(minutes=1)
SLOW = Limit(key="domain:slow.example", per_hour=10)


@pytest.fixture
def recall(world):
    """A scheduler's own, which has looked once."""
    recall = Recall()
    recall.run(world.tools)
    return recall


def fresh(world):
    """The same world for a process that has kept nothing in mind."""
    world.tools.catalog.forget()
    return world.with_tools(memory=Memory(seconds=1)).tools


def work(world, priority="P3"):
    lane.work(fresh(world), Priority(priority), sweep=True)


def waiting_for(world, limit, count=4, *, minutes=40, **columns):
    columns = {"last_error": reason(limit), "next_retry_at": world.clock(), **columns}
    return world.add("P3", count, due_in=minutes * MINUTE, **columns)


def waits(world, messages):
    return [round((world.row(message).scheduled_for - world.clock()) / MINUTE) for message in messages]


def set_limit(world, **figures):
    statement = sa.update(rate_limits).where(rate_limits.c.limit_key == "slow.example")
    world.execute(statement.values(**figures))


def test_a_campaign_goes_by_its_own_gateway_as_soon_as_that_is_well_again(world, recall):
    world.limit("gateway", "ses", max_per_hour=10)
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    messages = world.add("P3", 40)
    work(world)
    assert world.statuses(messages) == {"sent": 8, "pending": 32}
    assert recall.run(fresh(world)) == 0
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    assert recall.run(fresh(world)) == 32
    work(world)
    assert world.statuses(messages) == {"sent": 40}
    assert (world.gateways.requests("ses"), world.gateways.requests("postal")) == (8, 32)


def test_so_does_what_had_tried_it_before(world, recall):
    world.limit("gateway", "ses", max_per_hour=10)
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    messages = world.add("P3", 40, gateway="ses", tried=["postal"])
    work(world)
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    recall.run(fresh(world))
    work(world)
    assert world.statuses(messages) == {"sent": 40}
    assert (world.gateways.requests("ses"), world.gateways.requests("postal")) == (8, 32)


def test_it_keeps_the_attempts_that_it_has_used(world, recall):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    limit = Limit(key="gateway:ses")
    (message,) = waiting_for(world, limit, 1, gateway="ses", tried=["postal", "other"], attempts=1)
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    recall.run(fresh(world))
    row = world.row(message)
    assert (row.gateway, row.tried, row.attempts, row.last_error) == ("postal", ["other"], 1, None)


def test_what_is_pinned_to_a_gateway_stays_with_it(world, recall):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    columns = {"gateway": "ses", "gateway_pinned": True, "tried": ["postal"]}
    (message,) = waiting_for(world, Limit(key="gateway:ses"), 1, **columns)
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    recall.run(fresh(world))
    assert world.row(message).gateway == "ses"


@pytest.mark.parametrize("why", ["no gateway is healthy", "no gateway is in use for email"])
def test_what_waited_for_any_gateway_at_all_comes_when_one_is_there(world, recall, why):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    (message,) = world.add("P3", 1, due_in=4 * MINUTE, last_error=why)
    end = world.row(message).expires_at
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    assert recall.run(fresh(world)) == 1
    assert (waits(world, [message]), world.row(message).expires_at) == ([0], end)


@pytest.mark.parametrize("priority", ["P0", "P1", "P2", "P4"])
def test_retries_after_a_gateway_s_fault_do_not_wait_when_it_is_there_again(world, recall, priority):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    columns = {"last_error": "not_sent: refused", "last_error_class": "transient", "attempts": 1}
    (message,) = world.add(priority, 1, due_in=4 * MINUTE, **columns)
    end = world.row(message).expires_at
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    assert recall.run(fresh(world)) == 1
    row = world.row(message)
    assert (waits(world, [message]), row.expires_at, row.attempts) == ([0], end, 1)
    work(world, priority)
    assert world.row(message).status == "sent"


def test_they_are_called_once_since_each_try_costs_an_attempt(world, recall, monkeypatch):
    monkeypatch.setattr(growing, "STALE", 0.3)
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    recall.run(fresh(world))
    retry = world.one("P3", due_in=4 * MINUTE, last_error="421: busy", last_error_class="transient")
    other = world.one("P3", due_in=4 * MINUTE, last_error="no gateway is healthy")
    wait_for(lambda: recall.run(fresh(world)))
    assert waits(world, [retry, other]) == [4, 0]


def test_what_waits_for_anything_else_is_left_alone_by_a_gateway(world, recall):
    world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
    recall.run(fresh(world))
    others = waiting_for(world, SLOW)
    retries = world.add("P3", 2, due_in=40 * MINUTE, last_error="550: no", last_error_class="unreachable")
    world.tools.breakers.reset(Channel.EMAIL, "postal")
    assert recall.run(fresh(world)) == 0
    assert waits(world, [*others, *retries]) == [40] * 6


def test_another_channel_s_messages_do_not_wait_for_this_gateway(world, recall):
    world.tools.breakers.trip(Channel.SMS, "twilio", "it refuses everything")
    recall.run(fresh(world))
    messages = waiting_for(world, Limit(key="gateway:ses"))
    world.tools.breakers.reset(Channel.SMS, "twilio")
    assert recall.run(fresh(world)) == 0
    assert waits(world, messages) == [40] * 4


def test_a_gateway_that_gets_another_place_calls_its_channel(world, recall):
    messages = waiting_for(world, Limit(key="pace:ses|google"), gateway="ses")
    row = {"gateway": "postal", "channel": "email", "tier": 1, "ordered_at": sa.func.now()}
    world.execute(sa.delete(gateway_rows).where(gateway_rows.c.gateway == "postal"))
    world.execute(sa.insert(gateway_rows).values(row))
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def test_who_waits_for_a_limit_that_is_raised_has_the_new_tokens_at_once(world, recall):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    crowd = [world.one("P3", recipient_address=f"a{number}@slow.example") for number in range(20)]
    work(world)
    assert world.statuses(crowd) == {"sent": 8, "pending": 12}
    set_limit(world, max_per_hour=20)
    assert recall.run(fresh(world)) == 12
    work(world)
    assert world.statuses(crowd) == {"sent": 16, "pending": 4}


def test_a_limit_that_is_switched_off_lets_all_go(world, recall):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    messages = waiting_for(world, SLOW)
    set_limit(world, is_active=False)
    world.wake.lanes.clear()
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4
    assert (Priority.P3, True) in world.wake.lanes


def test_time_that_was_added_for_the_wait_is_taken_back(world, recall):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    (message,) = waiting_for(world, SLOW, 1)
    end = world.row(message).expires_at
    set_limit(world, max_per_hour=20)
    recall.run(fresh(world))
    assert abs(end - world.row(message).expires_at - 40 * MINUTE) < MINUTE


@pytest.mark.parametrize("limit", ["domain", "everything"])
def test_counts_that_are_reset_let_all_go(world, recall, limit):
    messages = waiting_for(world, SLOW)
    if limit == "domain":
        world.tools.tokens.reset([SLOW])
    else:
        world.app.emergency._forget_counts()
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def test_who_is_called_again_does_not_queue_behind_himself(world, recall, monkeypatch):
    monkeypatch.setattr(growing, "STALE", 0.0)
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    crowd = [world.one("P3", recipient_address=f"a{number}@slow.example") for number in range(40)]
    work(world)
    longest = []
    for _ in range(3):
        world.tools.tokens.reset([SLOW])
        wait_for(lambda: recall.run(fresh(world)))
        work(world)
        longest.append(max(waits(world, crowd)))
    assert sorted(longest, reverse=True) == longest
    assert world.statuses(crowd) == {"sent": 32, "pending": 8}


def test_paces_that_have_doubled_halve_the_waits_for_them(world, recall):
    pace = lowered(world)
    recall.run(fresh(world))
    messages = waiting_for(world, pace.limit)
    world.app.redis.hset(_paces(world), "ses|*", _spelled(pace, 2.1))
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [19] * 4
    (row, *_) = map(world.row, messages)
    assert (row.last_error, row.next_retry_at) == (reason(pace.limit), row.scheduled_for)
    assert recall.run(fresh(world)) == 0


def test_a_pace_that_is_forgotten_makes_nobody_wait(world, recall):
    pace = lowered(world)
    recall.run(fresh(world))
    messages = waiting_for(world, pace.limit)
    world.tools.paces.forget_all()
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def lowered(world):
    return world.tools.paces.lower("ses", "*", share=1.0, why="429", times=100)


def _paces(world):
    return world.tools.paces._key


def _spelled(pace, factor):
    since = round(pace.lowered_at.timestamp() * 1000)
    return f"{pace.per_second * factor} {pace.usual * 10} {since} 1 429"


def test_another_scheduler_goes_on_from_what_was_seen(world, recall):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    messages = waiting_for(world, SLOW)
    set_limit(world, max_per_hour=20)
    assert Recall().run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def test_one_that_was_told_to_stop_in_the_middle_leaves_the_rest_to_the_next(world, recall):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    messages = waiting_for(world, SLOW)
    set_limit(world, max_per_hour=20)
    world.tools.stopping.set()
    assert recall.run(fresh(world)) == 0
    world.tools.stopping.clear()
    assert Recall().run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def test_what_postgres_would_not_hear_is_said_again(world, recall, outages):
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    messages = waiting_for(world, SLOW)
    set_limit(world, max_per_hour=20)
    tools = fresh(world)
    tools.catalog.limits()
    with outages.without_postgres(), pytest.raises(Unavailable):
        recall.run(tools)
    assert recall.run(fresh(world)) == 4
    assert waits(world, messages) == [0] * 4


def test_without_redis_stops_still_end(world, recall, outages):
    row = {"scope": "gateway", "scope_key": "ses", "who": "an operator", "why": "a test"}
    world.execute(sa.insert(controls).values(id=7, lifted_at=sa.func.now(), **row))
    (message,) = world.add("P0", 1, due_in=4 * MINUTE, last_error=stopped(7))
    with outages.without_valkey(), pytest.raises(Unavailable):
        recall.run(fresh(world))
    assert waits(world, [message]) == [0]


def test_a_note_of_another_version_counts_as_lost(world, recall):
    messages = waiting_for(world, SLOW)
    world.tools.tokens.note('{"weather": "fine"}')
    assert recall.run(fresh(world)) == 4
    assert recall.run(fresh(world)) == 0
    assert waits(world, messages) == [0] * 4


def test_no_recipient_s_address_is_written_down(world, recall):
    own = Limit(key="recipient:jo@example.com", per_minute=1)
    world.tools.tokens.reset([own])
    world.limit("recipient", "jo@example.com", max_per_minute=1)
    recall.run(fresh(world))
    assert world.tools.tokens.resets() == {}
    assert "jo@" not in world.tools.tokens.noted()


def test_where_it_is_lost_what_was_seen_all_are_called_once(world, recall):
    messages = [*waiting_for(world, SLOW), *waiting_for(world, Limit(key="pace:ses|*"))]
    world.app.redis.flushall()
    assert recall.run(fresh(world)) == 8
    assert waits(world, messages) == [0] * 8


def test_who_is_put_back_for_what_was_so_a_moment_ago_is_called_too(world, recall, monkeypatch):
    monkeypatch.setattr(growing, "STALE", 0.5)
    world.limit("domain", "slow.example", max_per_hour=10)
    recall.run(fresh(world))
    set_limit(world, is_active=False)
    recall.run(fresh(world))
    late = waiting_for(world, SLOW)
    wait_for(lambda: recall.run(fresh(world)) == 4)
    assert waits(world, late) == [0] * 4


def test_a_gateway_that_comes_and_goes_calls_back_once_in_a_while(world, recall, monkeypatch):
    called = []
    for seldom in (300.0, 300.0, 0.0):
        monkeypatch.setattr(growing, "SELDOM", seldom)
        world.tools.breakers.trip(Channel.EMAIL, "postal", "it refuses everything")
        recall.run(fresh(world))
        messages = waiting_for(world, Limit(key="gateway:ses"))
        world.tools.breakers.reset(Channel.EMAIL, "postal")
        recall.run(fresh(world))
        called.append(waits(world, messages) == [0] * 4)
    assert called == [True, False, True]


def test_a_domain_whose_name_has_a_wildcard_stands_for_itself_alone(world, recall):
    tricky, other = Limit(key="domain:a_b%.example"), Limit(key="domain:axbxx.example")
    ours, theirs = waiting_for(world, tricky), waiting_for(world, other)
    world.tools.tokens.reset([tricky])
    recall.run(fresh(world))
    assert (waits(world, ours), waits(world, theirs)) == ([0] * 4, [40] * 4)


def test_without_limits_nothing_is_looked_at(world):
    messages = waiting_for(world, SLOW)
    assert Recall().run(world.with_tools(tokens=None, paces=None).tools) == 0
    assert waits(world, messages) == [40] * 4
