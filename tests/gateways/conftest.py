from uuid import UUID

import pytest

from app.domain.facts import Tag
from app.domain.vocabulary import Channel, Priority
from app.gateways.base import Envelope


@pytest.fixture(scope="session")
def tag():
    return Tag(uuid=UUID("019a4f6e-7c1d-7a3b-8f00-1234567890ab"), priority=Priority.P3, attempt=2)


@pytest.fixture(scope="session")
def envelope(tag):
    """Makes a plain message to rcpt@example.com, changed as asked."""

    def make(**changes):
        fields = {
            "tag": tag,
            "channel": Channel.EMAIL,
            "address": "rcpt@example.com",
            "sender": "Town Hall <news@example.org>",
            "subject": "Hello",
            "text": "Plain words",
            "html": "<p>Rich words</p>",
        }
        return Envelope(**(fields | changes))

    return make
