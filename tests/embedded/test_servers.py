import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from app.embedded import lock, places, servers
from app.embedded.guard import Guard
from app.embedded.servers import Wanted
from app.embedded.supervisor import Supervisor

BOTH = Wanted(postgres=True, valkey=True)
ELSEWHERE = """
import os, sys, time
from pathlib import Path
from app.embedded import places, servers
from app.embedded.guard import Guard
from app.embedded.supervisor import Supervisor

guard = Guard()
supervisor = Supervisor(guard=guard, report=lambda name, line: None)
servers.start(places.make(Path(sys.argv[1])), servers.Wanted(postgres=True, valkey=True), supervisor,
              durable=False)
print(guard._popen.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place(yard):
    return places.make(yard / "my data")


@pytest.fixture
def supervisor():
    guard = Guard()
    supervisor = Supervisor(guard=guard, report=lambda _name, _line: None)
    yield supervisor
    supervisor.stop()
    guard.close()


@pytest.fixture
def start(place, supervisor):
    """Starts both servers in the place, and gives their addresses."""
    started = []

    def start():
        started.append(servers.start(place, BOTH, supervisor, durable=False))
        return started[-1].addresses

    yield start
    supervisor.stop()
    for each in started:
        each.release()


@pytest.fixture
def elsewhere(place):
    """Another process that runs both servers there; gives it and the pid of its watchdog."""
    popen = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, place.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield popen, int(popen.stdout.readline())
    popen.kill()
    popen.communicate()
    for pid in (*servers._processes_in(place.postgres), *servers._processes_in(place.valkey)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lock.acquire(place.root / "postgres.lock", servers._PATIENCE).release()


def ask(addresses, question="SELECT 1"):
    dsn = addresses["DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(dsn) as connection:
        return connection.execute(question).fetchone()[0]


def pid_of(place, name):
    if name == "postgres":
        return int((place.postgres / "postmaster.pid").read_text().split()[0])
    with redis.Redis.from_url(f"unix://{place.sockets}/valkey.sock") as client:
        return client.info("server")["process_id"]


def test_both_answer_at_the_addresses_that_are_given(start):
    addresses = start()
    assert ask(addresses, "SELECT current_user") == "tocsin"
    with redis.Redis.from_url(addresses["REDIS_URL"]) as client:
        assert client.ping()


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_server_that_dies_alone_answers_again_at_the_same_address(
    name, start, place, supervisor, eventually
):
    addresses = start()
    os.kill(pid_of(place, name), signal.SIGKILL)

    def answers():
        supervisor.tick(time.monotonic())
        try:
            with redis.Redis.from_url(addresses["REDIS_URL"]) as client:
                return ask(addresses) == 1 and client.ping()
        except (psycopg.OperationalError, redis.ConnectionError):
            return False

    eventually(lambda: not answers())
    eventually(answers)


def test_a_second_start_is_told_who_has_the_data(elsewhere, start):
    popen, _ = elsewhere
    with pytest.raises(lock.Held, match=f"in use by process {popen.pid}"):
        start()


def test_the_next_start_after_kill_9_waits_for_the_servers_and_goes_on(elsewhere, start):
    popen, _ = elsewhere
    popen.kill()
    popen.wait()
    assert ask(start()) == 1


def test_servers_that_even_the_watchdog_could_not_stop_are_stopped_by_the_next_start(
    elsewhere, start, place, monkeypatch
):
    popen, watchdog = elsewhere
    monkeypatch.setattr(servers, "_PATIENCE", servers._PATIENCE / 8)
    orphan = pid_of(place, "postgres")
    os.kill(watchdog, signal.SIGKILL)
    popen.kill()
    popen.wait()
    assert Path(f"/proc/{orphan}").exists()
    assert ask(start()) == 1
    assert pid_of(place, "postgres") != orphan


def test_only_wanted_servers_are_started(place, supervisor):
    started = servers.start(place, Wanted(postgres=False, valkey=True), supervisor)
    assert set(started.addresses) == {"REDIS_URL"}
    supervisor.stop()
    started.release()
