"""What was put back for a stop comes back when it has ended: all of it, in time, and the lanes hear of it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import message_batches
from app.domain.vocabulary import Priority
from app.services.sending import lane
from app.services.sending.withholding import reason
from app.services.upkeep.recalling import Recall
from tests.world import only

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture
def batch(world):
    """A batch, and its name."""
    number = world.batch(subject="Hello", body_text="Spring")
    query = sa.select(message_batches.c.uuid).where(message_batches.c.id == number)
    return number, str(only(world.all(query)).uuid)


@pytest.fixture
def put_back(world, desk, batch):
    """Gives a function that has messages of the batch be put back for a stop; gives them and the stop."""

    def put_back(count=3, *, chance=0.5, **options):
        number, uuid = batch
        messages = world.add("P3", count, batch_id=number)
        stop = desk.stop("batch", uuid, **options)
        lane.work(world.with_tools(chance=lambda: chance).tools, Priority.P3, sweep=True)
        assert world.statuses(messages) == {"pending": count}
        return messages, stop

    return put_back


def waits(world, messages):
    return [world.row(message).scheduled_for - world.clock() for message in messages]


@pytest.mark.parametrize(("chance", "minutes"), [(0.0, 60), (0.5, 67.5), (1.0, 75)])
def test_what_is_put_back_for_a_stop_without_an_end_comes_back_spread_over_time(
    world, put_back, chance, minutes
):
    messages, _ = put_back(chance=chance)
    assert all(abs(wait - minutes * MINUTE) < MINUTE for wait in waits(world, messages))


def test_what_is_put_back_for_a_stop_that_ends_soon_comes_back_with_its_end(world, put_back):
    messages, _ = put_back(until=world.clock() + 10 * MINUTE)
    assert all(abs(wait - 10 * MINUTE) < MINUTE for wait in waits(world, messages))


def test_lanes_hear_of_what_was_called_back(world, desk, put_back):
    put_back()
    desk.resume()
    world.wake.lanes.clear()
    assert Recall().run(world.tools) == 3
    assert set(world.wake.lanes) == {(priority, True) for priority in Priority}


def test_where_nothing_was_called_back_nobody_is_woken(world, desk):
    desk.stop("template", _template(world))
    desk.resume()
    world.wake.lanes.clear()
    assert Recall().run(world.tools) == 0
    assert world.wake.lanes == []


def test_who_puts_a_message_back_just_after_the_end_of_its_stop_is_not_forgotten(world, desk, put_back):
    messages, stop = put_back()
    desk.resume()
    recall = Recall()
    assert recall.run(world.tools) == 3
    late = world.clock() + 60 * MINUTE
    world.change(messages[0], scheduled_for=late, last_error=reason(stop.id))
    assert recall.run(world.tools) == 1


def test_after_a_gradual_resume_what_was_put_back_returns_over_that_time(world, desk, put_back):
    messages, _ = put_back(20)
    desk.resume(over=20 * MINUTE)
    assert Recall().run(world.tools) == 20
    returns = sorted(waits(world, messages))
    assert returns[-1] > 5 * MINUTE
    assert returns[-1] - returns[0] > 5 * MINUTE
    assert returns[-1] < 20 * MINUTE + SECOND


def test_a_growing_template_lets_go_only_its_share(world, desk):
    slug = _template(world)
    batch = world.batch(template=slug, template_version=1)
    messages = world.add("P3", 20, batch_id=batch, subject=None, body_text=None)
    desk.stop("template", slug)
    desk.resume(over=10 * MINUTE)
    there = world.with_tools(chance=lambda: 0.5)
    lane.work(there.tools, Priority.P3, sweep=True)
    assert world.statuses(messages) == {"pending": 20}


def _template(world):
    world.execute(
        sa.text("INSERT INTO message_templates (slug, channel, name) VALUES ('spring', 'email', '')")
    )
    return "spring"
