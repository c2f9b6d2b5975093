"""What gateways say that they can express."""

from dataclasses import dataclass

import pytest

from app.domain.routing import EVERYTHING
from app.domain.vocabulary import Channel
from app.gateways.capabilities import capabilities_of


@dataclass
class Silent:
    name: str
    channel: Channel = Channel.EMAIL


@dataclass
class Telling(Silent):
    capabilities: frozenset[str] = frozenset({"attachments"})


@pytest.mark.parametrize(
    ("name", "can", "cannot"),
    [
        ("postal", "inline_images", "provider_template"),
        ("ses", "inline_images", "provider_template"),
        ("sendgrid", "provider_template", "media"),
        ("smtp", "inline_images", "provider_template"),
        ("twilio", "media", "attachments"),
        ("twilio_whatsapp", "provider_template", "attachments"),
        ("apns", "apns", "fcm"),
        ("fcm", "fcm", "apns"),
    ],
)
def test_the_table_knows_each_gateway_by_name(name, can, cannot):
    found = capabilities_of(Silent(name))
    assert can in found
    assert cannot not in found


def test_what_a_gateway_says_of_itself_counts_more():
    assert capabilities_of(Telling("ses")) == {"attachments"}


def test_a_gateway_that_nobody_says_anything_of_is_taken_for_able():
    assert capabilities_of(Silent("pigeon")) == EVERYTHING
