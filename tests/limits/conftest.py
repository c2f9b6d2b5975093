"""A client of an empty Valkey, and a clock that stands until a test moves it."""

from datetime import UTC, datetime, timedelta

import pytest

from app.db.redis import short_client


class Clock:
    """The time that scripts go by."""

    def __init__(self):
        self.now = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def pass_(self, **length):
        self.now += timedelta(**length)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def make_clock():
    return Clock


@pytest.fixture
def client(redis_url):
    with short_client(redis_url) as client:
        yield client
