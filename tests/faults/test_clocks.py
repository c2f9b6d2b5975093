"""A host whose clock is wrong, or jumps: what is due, and for how long, is the database's to say."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.services.clock import DatabaseClock, local_time
from app.services.sending import lane, release
from tests.world import Clock

HOUR = timedelta(hours=1)


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def wrong(request):
    """A host's clock that is an hour off."""
    return Clock(request.param)


@pytest.fixture
def elsewhere(world, wrong):
    """A worker on that host."""
    clock = DatabaseClock(world.app.engine, local=wrong)
    clock.look()
    return world.with_tools(now=clock)


def test_a_wrong_clock_is_set_right_by_the_database(world, wrong):
    clock = DatabaseClock(world.app.engine, local=wrong)
    assert abs(clock() - local_time()) > timedelta(minutes=59)
    clock.look()
    assert abs(clock() - local_time()) < timedelta(seconds=5)


def test_a_clock_that_jumps_between_two_looks_changes_nothing(world):
    jumping = Clock()
    clock = DatabaseClock(world.app.engine, local=jumping)
    clock.look()
    before = clock()
    jumping.ahead = HOUR
    assert timedelta(0) < clock() - before < timedelta(seconds=5)


def test_time_goes_on_while_the_database_is_away(world, wrong, outages):
    clock = DatabaseClock(world.app.engine, local=wrong)
    clock.look()
    with outages.without_postgres(), pytest.raises(Unavailable):
        clock.look()
    assert abs(clock() - local_time()) < timedelta(seconds=5)


@pytest.mark.parametrize("priority", ["P0", "P1", "P3"])
def test_a_worker_with_a_wrong_clock_sends_what_is_due_and_lets_nothing_expire(world, elsewhere, priority):
    due = world.add(priority, 3)
    later = world.add(priority, 1, due_in=timedelta(minutes=30))
    lane.work(elsewhere.tools, Priority(priority), sweep=True)
    assert world.statuses(due) == {"sent": 3}
    assert world.statuses(later) == {"pending": 1}


def test_what_a_worker_with_a_wrong_clock_puts_back_is_due_when_it_should_be(world, elsewhere):
    world.gateways.break_("postal")
    message = world.one("P3")
    lane.work(elsewhere.tools, Priority.P3, sweep=True)
    wait = sa.select(sa.text("extract(epoch FROM scheduled_for - now()) FROM message_queue")).where(
        sa.text(f"id = {message.id}")
    )
    assert 60 < world.all(wait)[0][0] < 240


def test_a_lease_is_not_shortened_by_whoever_looks_with_a_wrong_clock(world, elsewhere):
    messages = world.add("P3", 2, gateway="ses") + world.add("P3", 3)
    lane.work(world.tools, Priority.P3, sweep=False)
    # The smaller claim waits to be taken over; its lease is not over.
    release.release(elsewhere.tools, Priority.P3)
    assert world.statuses(messages) == {"sent": 3, "processing": 2}
