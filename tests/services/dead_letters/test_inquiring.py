"""Asking gateways about held messages, through the real transport, at the simulated ones."""

from datetime import timedelta
from itertools import count

import pytest
import sqlalchemy as sa

from app.db.tables import lane_flows, lookups, message_queue, senders
from app.domain.vocabulary import Channel, MessageType, Priority
from app.services.sending.lane import work
from app.services.upkeep import inquiring
from app.services.upkeep.inquiring import ask_gateways
from app.simulator.recipients import Fate, address_for

ASKED = ["twilio", "messagebird", "bandwidth"]
LOST = address_for(Fate.LOST, Channel.SMS)
NUMBERS = count(10_000)


@pytest.fixture
def texts(world):
    """The world with a number of ours for texts."""
    world.execute(
        sa.insert(senders).values(
            slug="desk",
            channel="sms",
            address="+15550100100",
            default_for=[kind.value for kind in MessageType],
        )
    )
    world.execute(sa.insert(lane_flows).values(priority="P3", channel="sms", client_id=1))
    return world


def text(world, gateway, **columns):
    """Queue a text that says what no other does."""
    columns = {"recipient_address": LOST, "body_text": f"Your parcel {next(NUMBERS)}", **columns}
    return world.one("P3", channel="sms", subject=None, gateway=gateway, gateway_pinned=True, **columns)


def hold(world, gateway, **columns):
    """Hold a text of which the gateway knows nothing."""
    columns = {"recipient_address": f"+1555{next(NUMBERS):07}", **columns}
    return text(world, gateway, status="held", tries=1, last_error_class="unknown", **columns)


def settle_down(world, ago=timedelta(seconds=40)):
    """Let what is held be held since a while."""
    table = message_queue
    world.execute(sa.update(table).where(table.c.status == "held").values(updated_at=sa.func.now() - ago))


def asked_again(world):
    """Let it be time to ask again."""
    world.execute(sa.update(lookups).values(next_at=sa.func.now()))


def noted(world):
    return [(row.tries, row.result) for row in world.all(sa.select(lookups).order_by(lookups.c.message_id))]


@pytest.mark.parametrize("gateway", ASKED)
def test_what_a_gateway_took_before_the_connection_was_lost_is_found_there(texts, gateway):
    message = text(texts, gateway)
    work(texts.tools, Priority.P3, sweep=True)
    assert texts.row(message).status == "held"
    settle_down(texts)
    assert ask_gateways(texts.tools) == "found 1"
    row = texts.row(message)
    assert row.status == "delivered"
    assert row.external_id
    event = texts.events(message)[-1]
    assert (event.event_type, event.source, event.attempt) == ("delivered", gateway, 1)
    assert event.data["looked_up"] is True


@pytest.mark.parametrize("gateway", ASKED)
def test_what_a_gateway_does_not_know_stays_held_and_is_asked_about_ever_more_seldom(texts, gateway):
    message = hold(texts, gateway)
    settle_down(texts)
    waits = []
    for _ in range(8):
        assert ask_gateways(texts.tools) == "not found yet 1"
        assert ask_gateways(texts.tools) == ""
        [row] = texts.all(sa.select(lookups))
        waits.append(round((row.next_at - row.asked_at).total_seconds() / 60))
        asked_again(texts)
    assert waits == [1, 2, 5, 10, 30, 60, 60, 60]
    assert texts.row(message).status == "held"


@pytest.mark.parametrize("gateway", ASKED)
def test_a_gateway_that_is_down_says_nothing(texts, gateway):
    message = hold(texts, gateway)
    settle_down(texts)
    texts.gateways.break_(gateway)
    assert ask_gateways(texts.tools) == "no answer 1"
    assert texts.row(message).status == "held"
    assert noted(texts) == [(1, "no answer")]


def test_a_gateway_that_cannot_be_asked_is_not(texts):
    texts.one("P3", status="held", gateway="postal")
    settle_down(texts)
    assert ask_gateways(texts.tools) == ""
    assert noted(texts) == []


def test_nobody_is_asked_before_a_webhook_had_its_time(texts):
    hold(texts, "twilio")
    assert ask_gateways(texts.tools) == ""


@pytest.mark.parametrize("gateway", ["twilio", "bandwidth"])
def test_what_is_known_to_be_another_message_proves_nothing(texts, gateway):
    address = f"+1555{next(NUMBERS):07}"
    sent = text(texts, gateway, recipient_address=address, body_text="The same")
    work(texts.tools, Priority.P3, sweep=True)
    assert texts.row(sent).status == "sent"
    message = hold(texts, gateway, recipient_address=address, body_text="The same")
    settle_down(texts)
    assert ask_gateways(texts.tools) == "not found yet 1"
    assert texts.row(message).status == "held"


def test_of_two_alike_neither_is_proven_by_one_that_arrived(texts):
    words = f"The same {next(NUMBERS)}"
    taken = text(texts, "twilio", body_text=words)
    work(texts.tools, Priority.P3, sweep=True)
    other = hold(texts, "twilio", body_text=words, recipient_address=LOST)
    settle_down(texts)
    assert ask_gateways(texts.tools) == "not found yet 2"
    assert texts.statuses([taken, other]) == {"held": 2}


def test_one_of_two_alike_is_proven_where_the_gateway_has_it_by_name(texts):
    words = f"The same {next(NUMBERS)}"
    taken = text(texts, "messagebird", body_text=words)
    work(texts.tools, Priority.P3, sweep=True)
    other = hold(texts, "messagebird", body_text=words, recipient_address=LOST)
    settle_down(texts)
    assert ask_gateways(texts.tools) == "found 1, not found yet 1"
    assert (texts.row(taken).status, texts.row(other).status) == ("delivered", "held")


def test_it_is_looked_for_as_far_back_as_a_worker_that_was_lost_may_have_sent_it(texts):
    message = hold(texts, "twilio")
    settle_down(texts)
    [case] = inquiring._cases(texts.tools, ["twilio"])
    held_at = texts.row(message).updated_at
    lease, timeout = texts.tools.lanes[Priority.P3].lease, texts.tools.gateway_timeout
    assert held_at - case.inquiry.since > lease + timeout


def test_two_alike_that_both_arrived_are_both_proven(texts):
    words = f"The same {next(NUMBERS)}"
    messages = [text(texts, "twilio", body_text=words) for _ in range(2)]
    work(texts.tools, Priority.P3, sweep=True)
    settle_down(texts)
    assert ask_gateways(texts.tools) == "found 2"
    assert texts.statuses(messages) == {"delivered": 2}
    assert len({texts.row(message).external_id for message in messages}) == 2


def test_other_words_to_the_same_number_are_another_message(texts):
    text(texts, "twilio", body_text=f"One {next(NUMBERS)}")
    work(texts.tools, Priority.P3, sweep=True)
    texts.execute(sa.delete(message_queue))
    message = hold(texts, "twilio", body_text=f"Two {next(NUMBERS)}", recipient_address=LOST)
    settle_down(texts)
    assert ask_gateways(texts.tools) == "not found yet 1"
    assert texts.row(message).status == "held"


def test_one_that_was_sent_again_and_held_anew_is_asked_about_at_once(texts):
    message = hold(texts, "twilio")
    settle_down(texts, ago=timedelta(minutes=10))
    ask_gateways(texts.tools)
    texts.execute(sa.update(lookups).values(asked_at=sa.func.now() - timedelta(minutes=5)))
    settle_down(texts)
    assert ask_gateways(texts.tools) == "not found yet 1"
    assert texts.row(message).status == "held"
