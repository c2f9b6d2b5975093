"""Messages to a sink of our own, through each gateway."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db.tables import gateways as gateways_table
from app.db.tables import message_queue
from app.domain.vocabulary import Channel, MessageType, Priority
from app.errors import ConfigurationError
from app.services.canaries import Canaries, addresses_of
from app.services.sending import lane
from app.services.trial_messages import TrialMessages
from app.services.upkeep.canaries import fly_canaries
from tests.world import gateways, only, settings, world

__all__ = ["gateways", "settings", "world"]

SINK = "sink@example.org"


class Silent:
    """A wake that tells nobody."""

    def accepted(self, priority, message): ...


@pytest.fixture
def flying(world):
    """A process that lets canaries fly by email every quarter of an hour."""
    app = replace(world.app)
    app.__dict__["wake"] = Silent()
    canaries = Canaries(
        app.engine,
        TrialMessages(app.engine, app.messages),
        {Channel.EMAIL: SINK},
        every=timedelta(minutes=15),
        message_type=MessageType.TRANSACTIONAL,
    )
    return world.with_tools(canaries=canaries)


def canaries(world):
    return world.all(sa.select(message_queue).where(message_queue.c.source_type == "canary"))


def health(world, gateway="postal"):
    return only(world.health(gateway))


def test_one_flies_through_each_gateway_as_an_ordinary_message(flying):
    assert fly_canaries(flying.tools) == 2
    lane.work(flying.tools, Priority.P4, sweep=True)
    while flying.wake.claims:
        lane.work_claim(flying.tools, *flying.wake.claims.pop())
    found = canaries(flying)
    assert {(row.gateway, row.priority, row.recipient_address) for row in found} == {
        ("postal", "P4", SINK),
        ("ses", "P4", SINK),
    }
    assert [flying.gateways.taken(row.uuid) for row in found] == [[row.gateway] for row in found]


def test_two_schedulers_send_one(flying):
    fly_canaries(flying.tools)
    assert fly_canaries(flying.tools) == 0
    assert len(canaries(flying)) == 2


def test_the_next_flies_when_it_is_time(flying):
    fly_canaries(flying.tools)
    flying.clock.ahead += timedelta(minutes=15)
    assert fly_canaries(flying.tools) == 2


def test_how_long_it_took_to_arrive_is_shown(flying):
    fly_canaries(flying.tools)
    created = (
        sa.select(message_queue.c.created_at).where(message_queue.c.gateway == "postal").scalar_subquery()
    )
    flying.execute(
        sa.update(message_queue)
        .where(message_queue.c.gateway == "postal")
        .values(status="delivered", sent_at=created, delivered_at=created + timedelta(seconds=7))
    )
    fly_canaries(flying.tools)
    row = health(flying)
    assert (row.canary_status, row.canary_seconds) == ("delivered", 7.0)
    assert health(flying, "ses").canary_status == "pending"


@pytest.mark.parametrize("state", [{"drained": True}, {"enabled": False}])
def test_none_flies_where_a_gateway_is_out_of_use(flying, state):
    row = {"channel": "email", "gateway": "postal", "tier": 1, **state}
    flying.execute(sa.insert(gateways_table).values(row))
    flying.tools.catalog.forget()
    assert fly_canaries(flying.tools) == 1
    assert [row.gateway for row in canaries(flying)] == ["ses"]


def test_why_none_can_be_sent_is_shown(flying):
    flying.execute(sa.text("DELETE FROM senders"))
    flying.tools.catalog.forget()
    fly_canaries(flying.tools)
    assert "no default sender" in health(flying).canary_status


def test_without_a_sink_none_flies(world):
    assert world.app.tools.canaries is None
    assert fly_canaries(world.tools) == 0


def test_sinks_are_written_by_channel():
    assert addresses_of(["email=a@example.org", "sms=+15005550006"]) == {
        Channel.EMAIL: "a@example.org",
        Channel.SMS: "+15005550006",
    }


@pytest.mark.parametrize("wrong", ["a@example.org", "fax=1", "email="])
def test_what_cannot_be_a_sink_is_named(wrong):
    with pytest.raises(ConfigurationError, match="CANARY_ADDRESSES"):
        addresses_of([wrong])
