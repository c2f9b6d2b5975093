"""A stop pressed under load, against real worker processes, by what arrives at the gateway."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from app.bootstrap import build
from app.domain.stops import StopScope
from app.domain.vocabulary import Priority
from app.services.audit import Who
from app.services.controls.service import StopDraft
from app.simulator.environment import environment
from tests.actors.test_workers import children_of
from tests.world import wait_for

COMMAND = (sys.executable, "-m", "app.cli", "workers", "--only", "emergency", "--only", "campaigns")
WHO = Who(actor="cli/ann")
SECOND = timedelta(seconds=1)
MANY = 2000


@pytest.fixture
def operator(settings):
    """The means of an operator at another machine."""
    app = build(settings, "operator", connections=3)
    yield app
    app.engine.dispose()
    app.redis.close()
    app.broker.client.close()


@pytest.fixture
def workers(world, settings, gateways, tmp_path):
    """Two lanes' workers on two hosts, killed at the end."""
    variables = {
        **environment(gateways.base),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "GATEWAY_CONCURRENCY": "8",
        "GATEWAY_TIMEOUT_SECONDS": "20",
        "P3__MIN_THREADS": "2",
        "P3__MAX_THREADS": "2",
        "P0__MIN_THREADS": "2",
    }
    parents = []
    with (tmp_path / "log").open("wb") as log:
        try:
            for _ in range(2):
                env = {**os.environ, **variables}
                parents.append(subprocess.Popen(COMMAND, env=env, stdout=log, stderr=log))
            wait_for(lambda: all(len(children_of(parent.pid)) >= 2 for parent in parents), within=60)
            yield parents
        finally:
            ours = [child for parent in parents for child in children_of(parent.pid)]
            for parent in parents:
                parent.kill()
                parent.wait()
            for child in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def arrivals(gateways, priority):
    """Tell when each message of a lane arrived at a gateway."""
    return [
        datetime.fromisoformat(entry["received_at"])
        for entry in gateways.entries()
        if entry["priority"] == priority
    ]


def press(operator, **options):
    """Stop everything, and give the moment just after."""
    stop = operator.emergency.stop(WHO, StopDraft(scope=StopScope.ALL, **options), why="wrong list")
    return stop, datetime.now(UTC)


def feed(world, operator, done):
    """Have emergencies accepted all the time."""
    sent = []
    while not done.wait(0.1):
        message = world.one("P0")
        sent.append(message)
        operator.wake.accepted(Priority.P0, message.id)
    return sent


@pytest.mark.parametrize("hearing", ["redis", "postgres"])
def test_under_load_nothing_starts_a_second_after_a_stop_but_emergencies(
    world, operator, workers, hearing, monkeypatch
):
    gateways = world.gateways
    gateways.slow_down(50)
    messages = world.add("P3", MANY)
    for _ in range(4):
        operator.wake.lane(Priority.P3)
    wait_for(lambda: gateways.accepted() >= MANY // 20, within=60)
    if hearing == "postgres":
        # Nobody rings: workers have to ask by themselves.
        monkeypatch.setattr(operator.stops._client, "publish", lambda *_: 0)
    done = threading.Event()
    emergencies = []
    feeder = threading.Thread(target=lambda: emergencies.extend(feed(world, operator, done)))
    feeder.start()
    try:
        stop, pressed = press(operator)
        wait_for(lambda: "processing" not in world.statuses(messages), within=60)
        wait_for(lambda: datetime.now(UTC) > pressed + 2 * SECOND)
    finally:
        done.set()
        feeder.join()
    came = arrivals(gateways, "P3")
    late = max(came) - pressed
    assert late < SECOND
    assert len(came) < MANY
    assert world.statuses(messages) == {"sent": len(came), "pending": MANY - len(came)}
    # Emergencies went on meanwhile, and all others do once it is over.
    wait_for(lambda: world.statuses(emergencies) == {"sent": len(emergencies)}, within=30)
    assert any(moment > pressed + SECOND for moment in arrivals(gateways, "P0"))
    gateways.slow_down(0)
    operator.emergency.resume(WHO, ids=[stop.id], why="mended")
    wait_for(lambda: world.statuses(messages) == {"sent": MANY}, within=60)
    assert len(arrivals(gateways, "P3")) == MANY


def test_ticked_it_stops_emergencies_too(world, operator, workers, gateways):
    first = world.one("P0")
    operator.wake.accepted(Priority.P0, first.id)
    wait_for(lambda: world.row(first).status == "sent", within=60)
    stop, _ = press(operator, including_p0=True)
    second = world.one("P0")
    operator.wake.accepted(Priority.P0, second.id)
    later = datetime.now(UTC) + 2 * SECOND
    wait_for(lambda: datetime.now(UTC) > later)
    assert gateways.taken(second.uuid) == []
    operator.emergency.resume(WHO, ids=[stop.id], why="mended")
    wait_for(lambda: world.row(second).status == "sent", within=30)
