import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded.guard import Guard
from app.embedded.process import Command, start

PARENT = """
import os, signal, sys, time
from datetime import timedelta
from pathlib import Path
from app.embedded.guard import Guard
from app.embedded.process import Command, start

guard = Guard()
STUBBORN = '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
'''
POLITE = '''
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).write_text("finished")
    sys.exit()
signal.signal(signal.SIGINT, end)
print("up", flush=True)
time.sleep(60)
'''
# Its child has a session of its own and is known to nobody but the mark in its environment.
FERTILE = '''
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
                         start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print("up", child.pid, flush=True)
time.sleep(60)
'''
def run(name, code, *arguments, sign=signal.SIGTERM, watch=True):
    process = start(
        Command(name=name, arguments=(sys.executable, "-c", code, *arguments), directory=Path("/"),
                environment={}, stop_signals=(sign,)), guard.environment)
    if watch:
        guard.watch(process)
    words = process.lines.readline().split()
    print(process.pid, *[int(word) for word in words[1:]])

run("stubborn", STUBBORN)
run("polite", POLITE, sys.argv[1], sign=signal.SIGINT)
run("fertile", FERTILE)
run("never told of", STUBBORN, watch=False)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def family(tmp_path):
    """A process with children of every kind, and the pids of all of them but itself."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path / "note"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = []
    while (line := parent.stdout.readline()) != "ready\n":
        pids += [int(word) for word in line.split()]
    yield parent, pids
    parent.kill()
    parent.communicate()


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_five_seconds_after_kill_9_nothing_is_left(family, eventually):
    parent, pids = family
    assert len(pids) == 5
    assert all(runs(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    eventually(lambda: not any(runs(pid) for pid in pids), within=5)


def test_each_is_first_asked_by_the_signal_of_its_own(family, tmp_path, eventually):
    parent, _ = family
    parent.send_signal(signal.SIGKILL)
    eventually((tmp_path / "note").exists, within=3)


@pytest.fixture
def guard():
    guard = Guard()
    yield guard
    guard.close()


def sleeper(guard):
    command = Command(name="sleeper", arguments=("sleep", "60"), directory=Path("/"), environment={})
    process = start(command, guard.environment)
    process.lines.close()
    return process


def test_a_watchdog_that_was_killed_is_replaced_and_knows_all_again(guard, eventually):
    process = sleeper(guard)
    guard.watch(process)
    dog = guard._popen.pid
    os.kill(dog, signal.SIGKILL)
    eventually(guard.check)
    assert guard._popen.pid != dog
    guard.close()
    eventually(lambda: process.ended() == -signal.SIGTERM)


def test_a_signal_to_the_watchdog_of_a_terminal_or_a_service_manager_does_not_end_it(guard):
    guard.watch(process := sleeper(guard))
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        guard._popen.send_signal(sign)
    assert not guard.check()
    process.stop()


def test_what_was_forgotten_is_not_signalled(guard):
    process = sleeper(Guard())
    guard.watch(process)
    guard.forget(process)
    guard.close()
    assert process.ended() is None
    process.stop()
