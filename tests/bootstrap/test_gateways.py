"""In which order a process tries its gateways, and what its settings say about it."""

from dataclasses import dataclass

import pytest

from app import settings as config
from app.bootstrap import in_order
from app.domain.vocabulary import Channel


@dataclass
class Named:
    name: str
    channel: Channel


ALL = {
    Channel.EMAIL: ("smtp", "sendgrid", "ses", "postal"),
    Channel.SMS: ("bird", "messagebird", "bandwidth", "twilio"),
    Channel.WHATSAPP: ("twilio_whatsapp",),
    Channel.VOICE: ("twilio_voice",),
    Channel.PUSH: ("fcm", "apns"),
}


def order(*, among=ALL, **settings):
    configured = {name: Named(name, channel) for channel, names in among.items() for name in names}
    return in_order(config.load(_env_file=None, **settings), configured)


def test_every_channel_has_an_order_of_its_own():
    assert order() == {
        Channel.EMAIL: ("postal", "ses", "sendgrid", "smtp"),
        Channel.SMS: ("twilio", "bandwidth", "messagebird", "bird"),
        Channel.WHATSAPP: ("twilio_whatsapp",),
        Channel.VOICE: ("twilio_voice",),
        Channel.PUSH: ("apns", "fcm"),
    }


def test_settings_change_it_and_what_they_do_not_name_comes_last():
    assert order(sms_gateways="bandwidth, twilio")[Channel.SMS] == (
        "bandwidth",
        "twilio",
        "bird",
        "messagebird",
    )


def test_emails_first_and_second_choice_stand_before_its_list():
    found = order(email_default_gateway="smtp", email_failover_gateway="sendgrid")
    assert found[Channel.EMAIL] == ("smtp", "sendgrid", "postal", "ses")


def test_only_gateways_that_are_configured_count():
    assert order(among={Channel.SMS: ("bird",)}) == {Channel.SMS: ("bird",)}


@pytest.mark.parametrize(
    ("switch", "channel"), [("sms_enabled", Channel.SMS), ("push_enabled", Channel.PUSH)]
)
def test_a_channel_that_is_switched_off_has_no_gateway(switch, channel):
    assert channel not in order(**{switch: False})
