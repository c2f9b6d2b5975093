import os
import signal
import subprocess
import sys

import psycopg
import pytest

PROGRAM = "from scheduler.process import scheduler; scheduler()"


@pytest.fixture
def start(database_url, redis_url):
    processes = []

    def run():
        environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
        processes.append(
            subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE)
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def leader(database_url):
    """The process that leads, and None before any did."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as conn:

        def read():
            row = conn.execute("SELECT holder FROM job_leader WHERE lease_until > now()").fetchone()
            return int(row[0].split(":")[1]) if row else None

        yield read


def test_a_process_told_to_stop_ends_well_and_gives_up_the_lead_first(start, leader, eventually):
    process = start()
    eventually(lambda: leader() == process.pid, within=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert leader() is None


def test_after_a_killed_leader_the_standby_leads_within_its_lease(start, leader, eventually):
    first = start()
    eventually(lambda: leader() == first.pid, within=60)
    second = start()
    first.kill()
    eventually(lambda: leader() == second.pid, within=60)
