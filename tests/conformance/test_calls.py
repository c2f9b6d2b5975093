"""What people do while they listen, at the gateways that call them."""

import pytest

from app.domain.vocabulary import Channel
from tests.conformance.messages import FEATURES

ASKING = FEATURES[Channel.VOICE]["digit"]


@pytest.fixture
def called(stage, gateway, calls, write):
    """Give a function that calls somebody, asks for a key, and gives what is told, each fact once."""

    def called(fate):
        message = ASKING(write(fate))
        (outcome,) = stage.send(gateway, message)
        facts = {fact.key: fact for _, fact in stage.about(message, outcome)}.values()
        assert {fact.tag for fact in facts} == {message.tag}
        return {fact.event_type for fact in facts}

    return called


def test_who_presses_the_key_that_is_asked_for_has_confirmed(called):
    assert {"delivered", "confirmed"} <= called("confirmed")


@pytest.mark.parametrize("listener", ["delivered", "machine"])
def test_who_only_listens_has_confirmed_nothing(called, listener):
    assert "confirmed" not in called(listener)


@pytest.mark.parametrize("absent", ["busy", "no-answer"])
def test_who_is_not_reached_has_neither_heard_nor_confirmed(called, absent):
    assert {"delivered", "confirmed"}.isdisjoint(called(absent))
