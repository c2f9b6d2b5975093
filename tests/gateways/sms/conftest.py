from datetime import UTC, datetime

import pytest

from app.domain.facts import Tag
from app.domain.vocabulary import Channel
from app.settings import Settings


@pytest.fixture(scope="session")
def now():
    return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def settings(monkeypatch):
    """Makes settings out of what a test names alone."""
    return lambda **chosen: Settings(_env_file=None, **chosen)


@pytest.fixture(scope="session")
def text(envelope):
    """Makes a text to +15554443333 from +15552221111, changed as asked; `priority` is the tag's."""

    def make(*, priority=None, sms=None, **changes):
        fields = {
            "channel": Channel.SMS,
            "address": "+15554443333",
            "sender": "+15552221111",
            "subject": None,
            "html": None,
            "text": "Stay inside",
            "options": {"sms": sms} if sms else {},
        }
        if priority:
            plain = envelope().tag
            fields["tag"] = Tag(uuid=plain.uuid, priority=priority, attempt=plain.attempt)
        return envelope(**(fields | changes))

    return make
