"""A provider's template is filled in with what a message brings."""

import pytest

from app.domain.provider_templates import filled
from app.domain.vocabulary import Channel

DATA = {"1": "Ann"}


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_twilios_templates_take_data_as_their_variables(channel):
    options = {channel.value: {"content_sid": "HX1", "content_variables": {"1": "you", "2": "noon"}}}
    assert filled(channel, options, DATA)[channel.value]["content_variables"] == {"1": "Ann", "2": "noon"}


def test_what_was_given_is_not_changed():
    options = {"email": {"template_id": "d-1"}, "reply_to": "a@example.com"}
    assert filled(Channel.EMAIL, options, DATA) == {
        "email": {"template_id": "d-1", "template_data": DATA},
        "reply_to": "a@example.com",
    }
    assert options["email"] == {"template_id": "d-1"}


@pytest.mark.parametrize(
    ("channel", "options", "data"),
    [
        (Channel.EMAIL, {"email": {"track_opens": True}}, DATA),
        (Channel.EMAIL, {}, DATA),
        (Channel.EMAIL, {"email": {"template_id": "d-1"}}, {}),
        (Channel.PUSH, {"push": {"template_id": "d-1"}}, DATA),
    ],
)
def test_options_without_such_a_template_stay_as_they_are(channel, options, data):
    assert filled(channel, options, data) is options
