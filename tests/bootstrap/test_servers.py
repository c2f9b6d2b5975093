"""How long a process waits for a Redis that hangs."""

import socket
import time

import pytest

from app import settings
from app.bootstrap import build
from app.domain.vocabulary import Priority


@pytest.fixture
def build_beside_a_hang():
    """Make apps whose Redis takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        configured = settings.load(
            _env_file=None,
            database_url="postgresql://127.0.0.1:9/nowhere",
            redis_url=f"redis://127.0.0.1:{server.getsockname()[1]}",
        )
        yield lambda **options: build(configured, "test", **options)


def test_who_sends_emergencies_tells_others_without_waiting_for_long(build_beside_a_hang):
    app = build_beside_a_hang(impatient=True)
    began_at = time.monotonic()
    for _ in range(20):
        app.wake.failover(Priority.P0, [1])
        app.wake.lane(Priority.P1)
    # One wait of 0.3 s; each of the patient ones would be half a minute.
    assert time.monotonic() - began_at < 2


def test_who_accepts_an_emergency_does_not_wait_for_its_bell_either(build_beside_a_hang):
    app = build_beside_a_hang(accepts=True)
    began_at = time.monotonic()
    for message in range(20):
        app.wake.accepted(Priority.P0, message)
    assert time.monotonic() - began_at < 2
