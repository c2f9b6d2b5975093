"""A scene on real servers: one gateway that nobody listens at, a DNS of a few names, rows as a test wants."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from app.bootstrap import build
from app.errors import Unavailable
from tests.given import Given
from tests.services.upkeep.conftest import Table


@dataclass
class Names:
    """A DNS of these records; a name that is not there does not exist."""

    known: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    silent: bool = False

    def records(self, name, kind):
        if self.silent:
            raise Unavailable("nobody answers")
        if (name, kind) in self.known:
            return self.known[name, kind]
        exists = any(known == name or known.endswith(f".{name}") for known, _ in self.known)
        return () if exists else None


@pytest.fixture
def settings(database_url, redis_url, tmp_path):
    return Given(
        database_url=database_url,
        redis_url=redis_url,
        data_dir=tmp_path,
        public_base_url="https://tocsin.example.org",
        postal_url="http://127.0.0.1:9",
        postal_api_key="a-credential-of-postal",
    )


@pytest.fixture
def names():
    return Names()


@pytest.fixture
def app(settings):
    app = build(settings, "test", connections=6)
    yield app
    app.engine.dispose()
    app.redis.close()
    if "broker" in app.__dict__:
        app.broker.client.close()


@pytest.fixture
def scene(app, names):
    return replace(app.scene, resolver=names)


@pytest.fixture
def table(database_url):
    table = Table(database_url)
    yield table
    table.conn.close()


@pytest.fixture
def look():
    """Gives what a check finds, by code."""

    def look(check, *args):
        return {finding.code: finding for finding in check(*args)}

    return look


@pytest.fixture
def beats(table):
    """Adds a process that said it lives."""

    def beats(
        name, kind="workers", lanes=(), *, age="0 s", skew="0 s", still=None, version="1.0", host="here"
    ):
        table(
            "INSERT INTO process_beats (name, kind, host, pid, lanes, threads, busy, version, started_at,"
            " beat_at, clock_at, progress_at) VALUES (%s, %s, %s, 4711, %s, 5, %s, %s, now() - interval '1 "
            "hour',"
            " now() - %s::interval, now() - %s::interval + %s::interval, now() - %s::interval)",
            *(name, kind, host, list(lanes), int(still is not None), version, age, age, skew, still),
        )

    return beats


def ago(**length):
    return datetime.now(UTC) - timedelta(**length)
