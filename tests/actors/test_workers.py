"""`tocsin workers` for real: killed at any place, they lose nothing, and no child stays behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.bootstrap import build
from app.domain.vocabulary import Priority
from app.simulator.environment import environment
from tests.world import wait_for

COMMAND = (sys.executable, "-m", "app.cli", "workers", "--only", "emergency", "--only", "campaigns")


@pytest.fixture
def wake(settings):
    """Wakes as the web process and the dispatcher send them."""
    app = build(settings, "waker", connections=2)
    yield app.wake
    app.engine.dispose()
    app.broker.client.close()


@pytest.fixture
def workers(world, settings, gateways, tmp_path):
    """The workers of two lanes, as an operator starts them; killed at the end, children first."""
    variables = {
        **environment(gateways.base),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "GATEWAY_CONCURRENCY": "16",
        "GATEWAY_TIMEOUT_SECONDS": "20",
        "P3__MIN_THREADS": "1",
        "P0__MIN_THREADS": "2",
    }
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(COMMAND, env={**os.environ, **variables}, stdout=log, stderr=log)
        try:
            wait_for(lambda: len(children_of(parent.pid)) == 2, within=60)
            yield parent
        finally:
            ours = children_of(parent.pid)
            parent.kill()
            parent.wait()
            for child in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def children_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    return []


def is_running(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text("ascii")
    return False


def finished(world, messages, count):
    return world.statuses(messages).get("sent", 0) == count


def test_workers_send_what_they_are_told_of(world, wake, workers):
    messages = world.add("P0", 5)
    wake.lane(Priority.P0)
    wait_for(lambda: finished(world, messages, 5), within=60)


def test_a_killed_child_is_followed_by_another_that_goes_on(world, wake, workers, gateways):
    first = world.one("P3")
    wake.lane(Priority.P3)
    wait_for(lambda: finished(world, [first], 1), within=60)
    gateways.slow_down(60_000)
    messages = world.add("P3", 40)
    wake.lane(Priority.P3)
    wait_for(lambda: gateways.accepted() >= 17, within=60)
    for child in children_of(workers.pid):
        os.kill(child, signal.SIGKILL)
    gateways.slow_down(0)
    world.lapse()
    wake.release(Priority.P3)
    # What was on the wire is held, since nobody knows; all else leaves, once.
    wait_for(lambda: finished(world, messages, 24), within=60)
    assert world.statuses(messages) == {"held": 16, "sent": 24}
    assert gateways.accepted() == 41


def test_children_end_with_their_parent(workers):
    children = children_of(workers.pid)
    workers.kill()
    workers.wait()
    wait_for(lambda: not any(map(is_running, children)), within=30)


def test_a_worker_told_to_stop_finishes_what_is_on_the_wire(world, wake, workers, gateways):
    gateways.slow_down(1000)
    messages = world.add("P3", 40)
    wake.lane(Priority.P3)
    wait_for(lambda: gateways.accepted() >= 16, within=60)
    workers.terminate()
    assert workers.wait(timeout=60) == 0
    sent = world.statuses(messages)["sent"]
    assert sent == gateways.accepted()
    assert world.statuses(messages) == {"sent": sent, "pending": 40 - sent}


def test_told_to_stop_before_they_are_ready_they_stop(workers):
    """Children that were forked a moment ago do not hear of it yet."""
    for child in children_of(workers.pid):
        os.kill(child, signal.SIGKILL)
    wait_for(
        lambda: len(children_of(workers.pid)) == 2 and all(map(is_running, children_of(workers.pid))), 30
    )
    workers.terminate()
    assert workers.wait(timeout=60) == 0


def test_emergencies_leave_without_redis(world, workers, outages):
    first = world.one("P0")
    with outages.without_valkey():
        wait_for(lambda: finished(world, [first], 1), within=60)
