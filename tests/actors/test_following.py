"""Workers that follow their lane's load: more in a burst, fewer after it, and nothing lost on the way."""

import contextlib
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, multiprocess

from actors.board import Board
from actors.declare import declare
from actors.foreman import Effort, Foreman
from actors.staff import Staff
from app.bootstrap import build
from app.domain.lanes import LANES
from app.domain.staffing import Wish
from app.domain.vocabulary import Priority
from app.errors import Unavailable
from app.services import staffing
from app.simulator.environment import environment
from app.wake import BrokerWake
from tests.world import meanwhile, wait_for

# The rule as it is, but for patience.
PROGRAM = """
import datetime, sys
from app.domain import staffing
staffing.LINGER = staffing.SHRINK_EVERY = datetime.timedelta(seconds=0.5)
from app.cli import main
sys.argv = ["tocsin", "workers", "--only", "alerts"]
main()
"""


@pytest.fixture
def app(settings):
    """A process of its own, that makes its connections when they are asked for."""
    app = build(settings, "follower", connections=12)
    yield app
    app.engine.dispose()
    app.broker.close()
    app.redis.close()


@pytest.fixture
def staff(app, world):
    """The campaign lane's threads of this process; a test says how many."""
    declare(app.broker, world.tools)
    staff = Staff(app.broker, queues={"messages-p3"}, threads=1, pulse=world.tools.pulse)
    staff.start()
    yield staff
    world.tools.stopping.set()
    staff.stop()


@pytest.fixture
def wake(app, settings):
    return BrokerWake(app.broker, settings.lanes, app.doorbell(timedelta(seconds=1)))


# One process


def test_threads_that_are_added_work(world, wake, staff, gateways):
    gateways.slow_down(1000)
    messages = world.add("P3", 2, gateway="postal") + world.add("P3", 1, gateway="ses")
    staff.resize(3)
    for _ in range(3):
        wake.lane(Priority.P3)
    wait_for(lambda: world.tools.pulse.busy >= 2)
    wait_for(lambda: world.statuses(messages).get("sent", 0) >= 2)


def test_a_thread_that_goes_finishes_what_is_on_the_wire_and_puts_the_rest_back(world, wake, staff, gateways):
    gateways.slow_down(500)
    messages = world.add("P3", 40)
    with meanwhile(lambda: gateways.accepted() >= 16, lambda: staff.resize(0)):
        wake.lane(Priority.P3)
        wait_for(lambda: not staff.threads)
    sent = gateways.accepted()
    assert sent < 40
    assert world.statuses(messages) == {"sent": sent, "pending": 40 - sent}
    assert {world.row(message).attempts for message in messages} == {0}
    assert (Priority.P3, False) in world.wake.lanes


def test_the_threads_that_stay_go_on(world, wake, staff, gateways):
    staff.resize(4)
    staff.resize(1)
    wait_for(lambda: staff.threads == 1)
    messages = world.add("P3", 3)
    wake.lane(Priority.P3)
    wait_for(lambda: world.statuses(messages) == {"sent": 3})


def test_idle_threads_go_before_those_at_work(world, wake, staff, gateways):
    gateways.slow_down(500)
    messages = world.add("P3", 16)
    wake.lane(Priority.P3)
    wait_for(lambda: world.tools.pulse.busy)
    staff.resize(6)
    staff.resize(1)
    wait_for(lambda: staff.threads == 1)
    wait_for(lambda: world.statuses(messages) == {"sent": 16})
    assert world.wake.lanes == []


def test_an_idle_worker_hears_of_work_at_once_and_leaves_the_queue_as_it_is(app, staff, wake, world):
    client = app.broker.client
    listening = "blmove"
    wait_for(lambda: any(each["cmd"] == listening for each in client.client_list()))
    message = world.one("P3")
    wake.lane(Priority.P3)
    wait_for(lambda: world.row(message).status == "sent")
    assert app.broker.waiting("messages-p3") == 0


def test_workers_outlive_a_broker_that_is_away(world, wake, staff, outages):
    outages.cut_valkey()
    outages.restore_valkey()
    message = world.one("P3")
    wait_for(lambda: wake.lane(Priority.P3) or world.row(message).status == "sent", within=20)


# What the foreman sees and says


@pytest.fixture
def foreman(app, world):
    board = Board(LANES[Priority.P1].max_threads)
    return Foreman(world.tools, LANES[Priority.P1], board, app.redis)


def test_a_foreman_says_what_a_burst_is_worth(world, foreman, app):
    world.add("P1", 1200, due_in=timedelta(seconds=-2))
    world.add("P1", 10, due_in=timedelta(hours=1))
    foreman.board.report(0, running=5, busy=5)
    foreman._wish = Wish(threads=5, needed=0, changed_at=timedelta(0))
    foreman.look()
    (said,) = staffing.known(app.redis, world.clock(), within=timedelta(seconds=10))
    assert (said.priority, said.wished, said.needed) == (Priority.P1, 8, 5 + 3)
    assert (said.running, said.busy) == (5, 5)
    assert foreman.board.wished == 8


def test_what_was_said_long_ago_is_not_known_any_more(world, foreman, app):
    foreman.look()
    later = world.clock() + timedelta(minutes=1)
    assert staffing.known(app.redis, later, within=timedelta(seconds=10)) == ()


def test_without_postgres_a_lane_keeps_its_size(world, foreman, outages):
    foreman.board.wished = 17
    with outages.without_postgres(), pytest.raises(Unavailable):
        foreman.look()
    assert foreman.board.wished == 17


def test_without_redis_a_lane_follows_all_the_same(world, foreman, outages):
    with outages.without_valkey():
        foreman.look()
    assert foreman.board.wished == 5


def test_a_foreman_who_follows_a_dead_one_begins_where_that_one_was(world, app):
    board = Board(30)
    board.wished = 21
    Foreman(world.tools, LANES[Priority.P1], board, app.redis).look()
    assert board.wished == 21


@pytest.mark.parametrize(
    ("niced", "used", "jiffies", "crowded"),
    [
        (True, 0.8, "100 900 50 5000 0 0 0", True),
        (True, 0.1, "100 900 50 5000 0 0 0", False),
        (True, 0.8, "100 900 50 5100 0 0 0", False),
        (True, 0.8, "100 1900 50 5000 0 0 0", True),
        (False, 0.8, "100 1900 50 5000 0 0 0", False),
    ],
    ids=["both hungry", "waits for gateways", "cores to spare", "bulk for bulk", "bulk makes room"],
)
def test_a_lane_is_crowded_where_it_wants_cpu_and_there_is_none(tmp_path, niced, used, jiffies, crowded):
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 900 50 5000 0 0 0\ncpu0 1 2 3 4 5 6\n", "ascii")
    effort = Effort(niced=niced, stat=stat)
    effort.is_crowded((10.0, 0.0), 100.0)
    stat.write_text(f"cpu  {jiffies}\n", "ascii")
    assert effort.is_crowded((10.0 + used, 0.0), 101.0) is crowded


def test_where_nobody_tells_of_the_machine_no_lane_is_crowded(tmp_path):
    effort = Effort(niced=True, stat=tmp_path / "missing")
    effort.is_crowded((10.0,), 100.0)
    assert not effort.is_crowded((11.0,), 101.0)


def test_forked_processes_share_a_board():
    board = Board(3)
    board.ask(1, 7)
    pid = os.fork()
    if not pid:
        board.report(1, running=board.asked(1), busy=2, cpu=1.5)
        os._exit(0)
    os.waitpid(pid, 0)
    assert (board.running, board.busy, board.cpu) == (7, 2, (0.0, 1.5, 0.0))


# For real


def children_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    return []


@pytest.fixture
def alerts(world, settings, gateways, tmp_path):
    """The workers of the alert lane, with two requests on the wire for each thread."""
    with _alerts(settings, gateways, tmp_path) as parent:
        yield parent


@contextlib.contextmanager
def _alerts(settings, gateways, tmp_path, **changed):
    variables = {
        **environment(gateways.base),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "GATEWAY_CONCURRENCY": "2",
        "GATEWAY_TIMEOUT_SECONDS": "20",
        "WORKER_CORES": "2",
        "P1__MIN_THREADS": "2",
        "P1__MAX_THREADS": "7",
        "P1__CLAIM_SIZE": "10",
        **changed,
    }
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env={**os.environ, **variables}, stdout=log, stderr=log
        )
        try:
            yield parent
        finally:
            ours = children_of(parent.pid)
            parent.kill()
            parent.wait()
            for child in ours:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def measured(folder, name):
    """What all processes of the lane say together, as Prometheus would see it."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(folder))
    return registry.get_sample_value(name, {"priority": "P1"})


def test_a_lanes_threads_have_no_more_on_the_wire_together_than_their_share(
    world, settings, gateways, app, tmp_path
):
    few = {"P1__MIN_THREADS": "4", "P1__MAX_THREADS": "4"}
    wire = {"GATEWAY_CONCURRENCY": "8", "GATEWAY_CONNECTIONS": "8"}
    with _alerts(settings, gateways, tmp_path, **few, **wire):
        wait_for(lambda: staffing.known(app.redis, world.clock(), within=timedelta(seconds=5)), within=30)
        gateways.slow_down(1000)
        messages = world.add("P1", 80)
        for _ in range(4):
            app.wake.lane(Priority.P1)
        wait_for(lambda: world.statuses(messages).get("sent"), within=30)
        # The first eight, and as many as may have taken the places of those that were just answered.
        assert gateways.requests("postal") <= 16


def test_a_burst_brings_more_threads_and_processes_and_a_calm_sends_them_home(
    world, gateways, alerts, app, tmp_path
):
    client = app.redis

    def said():
        known = staffing.known(client, world.clock(), within=timedelta(seconds=5))
        return (known[0].wished, known[0].running) if known else None

    gateways.slow_down(700)
    messages = world.add("P1", 150)
    app.wake.lane(Priority.P1)
    wait_for(lambda: said() == (7, 7), within=30)
    assert len(children_of(alerts.pid)) == 2
    assert measured(tmp_path, "tocsin_workers_wished") == measured(tmp_path, "tocsin_workers_running") == 7
    gateways.slow_down(0)
    wait_for(lambda: world.statuses(messages) == {"sent": 150}, within=30)
    assert gateways.accepted() == 150
    wait_for(lambda: said() == (2, 2) and len(children_of(alerts.pid)) == 1, within=30)
    alerts.terminate()
    assert alerts.wait(timeout=30) == 0
    assert measured(tmp_path, "tocsin_workers_running") is None
