"""A push to a device that is gone takes the device out of use; nobody is suppressed."""

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from app.db.tables import device_tokens
from app.domain.facts import Fact, Tag
from app.domain.vocabulary import Channel, EventType, OutcomeClass, Priority, SuppressionReason
from app.queue.claims import claim_these
from app.services.recording.heard import Heard
from app.services.recording.record import record
from app.services.sending.checks import refused
from app.services.suppressing import Blame, suppress
from tests.world import only

TOKEN = "f" + "Aa1:_-" * 25


@pytest.fixture
def device(world):
    """A device that was seen an hour ago."""
    row = {
        "token": TOKEN,
        "platform": "fcm",
        "recipient_id": 7,
        "last_seen_at": world.clock() - timedelta(hours=1),
    }
    world.execute(sa.insert(device_tokens).values(row))
    return row


def blame(**changes):
    wanted = {
        "message": 1,
        "channel": Channel.PUSH,
        "address": TOKEN,
        "reason": SuppressionReason.BOUNCE_HARD,
        "source": "fcm",
    }
    return Blame(**wanted | changes)


def tell(world, *blames):
    with world.tools.engine.begin() as conn:
        suppress(conn, world.tools.policy, blames)


def state(world):
    row = only(world.all(sa.select(device_tokens)))
    return row.deactivated_why


def test_a_device_that_is_gone_is_out_of_use(world, device):
    tell(world, blame())
    assert state(world) == "gateway"
    assert world.suppressed() == []


def test_a_device_seen_since_it_was_gone_stays_in_use(world, device):
    tell(world, blame(as_of=device["last_seen_at"] - timedelta(seconds=1)))
    assert state(world) is None


def test_a_device_not_seen_since_it_was_gone_is_out_of_use(world, device):
    tell(world, blame(as_of=device["last_seen_at"] + timedelta(seconds=1)))
    assert state(world) == "gateway"


def test_the_latest_word_about_a_device_counts(world, device):
    early, late = (device["last_seen_at"] + timedelta(minutes=by) for by in (-1, 1))
    tell(world, blame(as_of=early), blame(as_of=late))
    assert state(world) == "gateway"


@pytest.mark.parametrize("reason", [SuppressionReason.BOUNCE_SOFT])
def test_a_device_that_is_off_stays_in_use(world, device, reason):
    tell(world, *(blame(message=number, reason=reason) for number in range(3)))
    assert state(world) is None
    assert world.suppressed() == []


def test_who_refuses_a_push_is_suppressed_as_ever(world, device):
    tell(world, blame(reason=SuppressionReason.UNSUBSCRIBE, category="offers"))
    assert only(world.suppressed()).category == "offers"
    assert state(world) is None


def push(world, **columns):
    return world.one("P3", channel="push", recipient_address=TOKEN, gateway="fcm", **columns)


def test_a_fact_takes_a_device_out_of_use_as_of_when_it_happened(world, device):
    message = push(world, status="sent", sent_at=world.clock(), tries=1)
    fact = Fact(
        key="gone",
        event_type=EventType.FAILED,
        occurred_at=device["last_seen_at"] - timedelta(seconds=1),
        tag=Tag(uuid=message.uuid, priority=Priority.P3, attempt=1),
        outcome=OutcomeClass.RECIPIENT,
    )
    for at, why in ((fact.occurred_at, None), (world.clock(), "gateway")):
        heard = Heard(gateway="fcm", fact=fact._replace(key=str(at), occurred_at=at), inbox=None)
        with world.tools.engine.begin() as conn:
            record(conn, world.tools, [heard])
        assert state(world) == why
    assert world.suppressed() == []


def claimed(world, message):
    lane = world.tools.lanes[Priority.P3]
    with world.tools.engine.begin() as conn:
        return lane, claim_these(conn, lane, uuid4(), [message.id], worker="test").messages


def test_a_push_to_a_device_out_of_use_does_not_go(world, device):
    message = push(world)
    tell(world, blame())
    lane, messages = claimed(world, message)
    with world.tools.engine.connect() as conn:
        decisions = refused(conn, lane, messages, world.tools.contents, world.clock())
    assert decisions[message.id].status == "suppressed"
    assert decisions[message.id].error == "the recipient is suppressed: inactive_device"


def test_a_push_to_a_device_in_use_may_go(world, device):
    message = push(world)
    lane, messages = claimed(world, message)
    with world.tools.engine.connect() as conn:
        assert refused(conn, lane, messages, world.tools.contents, world.clock()) == {}
