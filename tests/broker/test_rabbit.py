"""RabbitMQ as the broker, where one is to be had: RABBITMQ_URL names a server that may be used for this."""

import os
from importlib.util import find_spec
from uuid import uuid4

import dramatiq
import pytest

from actors.declare import declare
from actors.staff import Staff
from app.bootstrap import make_broker
from app.domain.vocabulary import Priority
from app.wake import BrokerWake
from tests.world import gateways, settings, wait_for, world

__all__ = ["gateways", "settings", "world"]

URL = os.environ.get("RABBITMQ_URL")
pytestmark = pytest.mark.skipif(
    URL is None or find_spec("pika") is None,
    reason="needs the extra `rabbitmq`, and RABBITMQ_URL of a server to try it with",
)


@pytest.fixture
def broker(world, settings):
    lanes = {priority: lane.changed(queue=f"test-{uuid4().hex}") for priority, lane in settings.lanes.items()}
    broker = make_broker(settings.model_copy(update={"broker_url": URL}))
    tools = world.with_tools(lanes=lanes).tools
    declare(broker, tools)
    yield broker, tools
    for queue in broker.get_declared_queues() | broker.get_declared_delay_queues():
        broker.channel.queue_delete(queue)
    broker.close()


@pytest.fixture
def staff(broker):
    broker, tools = broker
    staff = Staff(broker, queues={tools.lanes[Priority.P3].queue}, threads=1, pulse=tools.pulse)
    yield staff
    tools.stopping.set()
    staff.stop()


def test_messages_are_sent_by_wakes_through_rabbitmq(world, broker, staff):
    broker, tools = broker
    wake = BrokerWake(broker, tools.lanes, doorbell=None)
    messages = world.add("P3", 5)
    wake.lane(Priority.P3)
    staff.start()
    staff.resize(3)
    wait_for(lambda: world.statuses(messages) == {"sent": 5})
    wait_for(lambda: broker.waiting(tools.lanes[Priority.P3].queue) == 0)


def test_never_more_wakes_wait_than_a_lane_has_senders(broker):
    broker, tools = broker
    wake = BrokerWake(broker, tools.lanes, doorbell=None)
    for _ in range(40):
        wake.lane(Priority.P1)
    assert broker.waiting(tools.lanes[Priority.P1].queue) == 30


def test_a_rabbitmq_that_is_away_is_not_the_callers_trouble(settings):
    away = make_broker(
        settings.model_copy(update={"broker_url": "amqp://127.0.0.1:9/?connection_attempts=1"})
    )
    BrokerWake(away, settings.lanes, doorbell=None).lane(Priority.P3)
    with pytest.raises(dramatiq.errors.BrokerConnectionError):
        away.waiting("messages-p3")
