"""What people write to a number of ours, at the gateways whose doubles can be written to."""

import pytest

from app.domain.vocabulary import Channel
from app.simulator.recipients import Fate, address_for
from tests.conformance.messages import TEXT
from tests.conformance.stage import account_of

OURS = "+15550100100"
WRITING = {Channel.SMS: "", Channel.WHATSAPP: "whatsapp:"}  # How a number is written there.


@pytest.fixture
def somebody_writes(stage, gateway):
    """Give a function that writes to us by this gateway and gives what came of it, each by its key once."""
    prefix = WRITING[stage.gateways[gateway].channel]

    def somebody_writes(sender, text):
        order = {"from": f"{prefix}{sender}", "to": f"{prefix}{OURS}", "text": text}
        stage.control("POST", "inbound", gateway=account_of(gateway).name, **order)
        return list({each.key: each for each in stage.inbound()}.values())

    return somebody_writes


def test_words_come_as_they_were_written_by_whom_to_whom(stage, gateway, somebody_writes):
    (told,) = somebody_writes("+15552000001", TEXT)
    assert (told.sender, told.recipient, told.text) == ("+15552000001", OURS, TEXT)
    assert (told.kind, told.channel) == ("message", stage.gateways[gateway].channel)


def test_two_texts_of_the_same_words_are_two(somebody_writes):
    somebody_writes("+15552000001", "STOP")
    assert len(somebody_writes("+15552000001", "STOP")) == 2


def test_what_people_write_is_no_event_of_a_message(stage, somebody_writes):
    somebody_writes("+15552000001", "Hello?")
    assert [fact for request in stage.door.taken for fact in stage.facts(request)] == []


def test_who_unsubscribes_answers_stop(stage, gateway, write, somebody_writes):
    channel = stage.gateways[gateway].channel
    stage.send(gateway, write("unsubscribe"))
    (told,) = {each.key: each for each in stage.inbound()}.values()
    assert (told.sender, told.text) == (address_for(Fate.UNSUBSCRIBE, channel), "STOP")
