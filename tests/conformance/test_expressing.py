"""What can be said through a gateway, and that it says so itself where it cannot."""

from datetime import UTC, datetime

import pytest

from app.errors import Invalid
from tests.conformance.messages import FEATURES, TEXT
from tests.conformance.wire import words_of


def test_foreign_letters_and_emoji_are_on_the_wire_as_they_are(stage, gateway, write):
    message = write(text=TEXT)
    assert any(
        TEXT in words for words in words_of(stage.gateways[gateway].build([message], datetime.now(UTC)))
    )
    (outcome,) = stage.send(gateway, message)
    assert outcome.kind == "accepted", outcome


def test_a_feature_is_sent_or_named_as_lacking(stage, gateway, feature, expected, write):
    chosen = stage.gateways[gateway]
    message = FEATURES[chosen.channel][feature](write())
    lacking = chosen.cannot_express(message)
    assert bool(lacking) == (feature in expected.lacks), lacking
    if lacking:
        with pytest.raises(Invalid):
            chosen.build([message], datetime.now(UTC))
    else:
        (outcome,) = stage.send(gateway, message)
        assert outcome.kind == "accepted", outcome


def test_a_text_is_taken_up_to_its_longest_and_named_beyond(stage, gateway, length, expected, write):
    message = write(text="a" * length)
    lacking = stage.gateways[gateway].cannot_express(message)
    assert bool(lacking) == (length > expected.longest), lacking
    if not lacking:
        (outcome,) = stage.send(gateway, message)
        assert outcome.kind == "accepted", outcome


def test_what_it_lacks_is_not_told_with_the_address(stage, gateway, feature, expected, write):
    message = FEATURES[stage.gateways[gateway].channel][feature](write())
    assert message.address not in (stage.gateways[gateway].cannot_express(message) or "")
