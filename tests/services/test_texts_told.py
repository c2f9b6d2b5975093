"""Texts from the lane to the phone and back: sent by each gateway to its double, and told of by webhook."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app import settings as config
from app.bootstrap import build
from app.db.tables import inbound_messages, lane_flows, senders, suppression_list
from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.recording import inbox, parked
from app.services.sending import lane
from app.simulator.background import simulating
from app.simulator.environment import environment
from app.simulator.recipients import Fate, address_for
from app.simulator.sender import Delivery
from app.simulator.simulator import Options
from bench.ports import free_base
from tests.conformance.stage import Door
from tests.world import wait_for

OURS = "+15550100100"
GATEWAYS = ["bandwidth", "messagebird", "bird"]


@pytest.fixture
def door():
    return Door()


@pytest.fixture
def told(world, settings, door):
    """The world with a number of ours, and gateways that tell what becomes of texts."""
    delivery = Delivery(target=door.url, delay=timedelta(milliseconds=20))
    options = Options(port=free_base(), delivery=delivery, subscribed=True, seed=1)
    simulator = {name.lower(): value for name, value in environment(options.port).items()}
    servers = {"database_url": settings.database_url, "redis_url": settings.redis_url}
    loaded = config.load(_env_file=None, public_base_url=door.url, **servers, **simulator)
    desk = {
        "slug": "desk",
        "channel": "sms",
        "address": OURS,
        "default_for": [kind.value for kind in MessageType],
    }
    world.execute(sa.insert(senders).values(desk))
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="sms", client_id=1))
    app = build(loaded, "told", connections=8)
    with door.open(), simulating(options):
        yield replace(world, app=app, tools=replace(app.tools, wake=world.wake, chance=lambda: 0.0))
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


def send(told, gateway, fate):
    address = address_for(fate, Channel.SMS)
    text = {"channel": "sms", "subject": None, "options": {"sender": "desk"}}
    message = told.one("P3", gateway=gateway, recipient_address=address, **text)
    lane.work(told.tools, Priority.P3, sweep=False)
    return message


def hear(told, door):
    """Take in what has come, as the web process and the actor behind it do."""
    while door.taken:
        request = door.taken.pop(0)
        name = request.url.partition("/webhooks/")[2].partition("?")[0]
        told.app.webhooks.receive(name, request, request_id="r")
    inbox.process(told.tools)
    parked.process(told.tools)


def ends(told, door, message, status):
    def look():
        hear(told, door)
        return told.row(message).status == status

    wait_for(look, within=30)


def suppressed(told):
    return [(row.channel, row.reason, row.sender) for row in told.all(sa.select(suppression_list))]


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("fate", "ending"),
    [
        (Fate.DELIVERED, ("delivered", [])),
        (Fate.BOUNCE, ("bounced", ["bounce_hard"])),
        (Fate.REJECTED, ("failed", [])),
    ],
)
def test_what_becomes_of_a_text_is_told_and_recorded(told, door, gateway, fate, ending):
    message = send(told, gateway, fate)
    status, reasons = ending
    ends(told, door, message, status)
    assert told.row(message).gateway == gateway
    assert suppressed(told) == [("sms", reason, None) for reason in reasons]


@pytest.mark.parametrize(("gateway", "sender"), [("bandwidth", OURS), ("messagebird", None), ("bird", OURS)])
def test_who_has_opted_out_there_is_unsubscribed_here_and_no_hard_bounce(told, door, gateway, sender):
    message = send(told, gateway, Fate.SUPPRESSED)
    ends(told, door, message, "failed")
    assert suppressed(told) == [("sms", "unsubscribe", sender)]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_who_answers_stop_gets_no_more_from_that_number(told, door, gateway):
    message = send(told, gateway, Fate.UNSUBSCRIBE)
    ends(told, door, message, "delivered")

    def stopped():
        hear(told, door)
        return suppressed(told)

    assert wait_for(stopped, within=30) == [("sms", "unsubscribe", OURS)]
    (kept,) = told.all(sa.select(inbound_messages))
    assert (kept.sender_address, kept.recipient_address, kept.body, kept.message_id) == (
        told.row(message).recipient_address,
        OURS,
        "STOP",
        message.id,
    )
