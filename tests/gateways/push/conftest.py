from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app import settings
from app.domain.vocabulary import Channel
from app.gateways.transport import Transport
from app.simulator.background import simulating
from app.simulator.environment import environment
from app.simulator.simulator import Options
from bench.ports import free_base

FCM_TOKEN = "delivered-1:".ljust(142, "A")
APNS_TOKEN = "70c51200" + "0" * 56
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def push(envelope):
    """Makes a notification for an FCM token, with the options for push that a test names."""

    def make(**changes):
        own = changes.pop("push", {})
        fields = {
            "channel": Channel.PUSH,
            "address": FCM_TOKEN,
            "sender": "app",
            "subject": "Title",
            "text": "Words",
            "html": None,
            "options": {"push": own},
        }
        return envelope(**(fields | changes))

    return make


@pytest.fixture(scope="module")
def simulated_settings() -> Iterator[settings.Settings]:
    """Settings that point at a simulator which runs as long as the module."""
    base = free_base()
    with simulating(Options(port=base)), pytest.MonkeyPatch.context() as patch:
        for name, value in environment(base).items():
            patch.setenv(name, value)
        yield settings.load(_env_file=None)


@pytest.fixture
def transport():
    made = Transport(concurrency=64)
    yield made
    made.close()
