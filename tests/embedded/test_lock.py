import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from app.embedded import lock

NOT_AT_ALL = timedelta(0)
HOLD = """
import os, sys
from datetime import timedelta
from pathlib import Path
from app.embedded import lock
held = lock.acquire(Path(sys.argv[1]), timedelta(0))
if sys.argv[2] == "die":
    if not os.fork():
        # A child that inherited the lock and outlives its parent.
        os.write(1, b"child %d\\n" % os.getpid())
        os.close(1)
        sys.stdin.readline()
    os._exit(0)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def hold():
    """Starts processes that hold a lock until the end of the test; gives each with its first words."""
    started = []

    def held(path, then):
        popen = subprocess.Popen(
            [sys.executable, "-c", HOLD, path, then], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(popen)
        return popen, popen.stdout.readline()

    yield held
    for popen in started:
        popen.communicate()


def test_a_second_holder_is_told_at_once_who_the_first_is(tmp_path, hold):
    popen, _ = hold(tmp_path / "lock", "live")
    began = time.monotonic()
    with pytest.raises(lock.Held, match=f"process {popen.pid}$") as raised:
        lock.acquire(tmp_path / "lock", timedelta(minutes=1))
    assert raised.value.pid == popen.pid
    assert time.monotonic() - began < 30


def test_a_lock_outlives_its_holder_in_the_children_that_inherited_it(tmp_path, hold):
    popen, said = hold(tmp_path / "lock", "die")
    assert said.startswith("child")
    popen.wait()
    with pytest.raises(lock.Held, match=f"what process {popen.pid} has left running"):
        lock.acquire(tmp_path / "lock", NOT_AT_ALL)


def test_a_lock_can_be_had_again_after_its_release(tmp_path):
    lock.acquire(tmp_path / "lock", NOT_AT_ALL).release()
    held = lock.acquire(tmp_path / "lock", NOT_AT_ALL)
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    held.release()


def test_asking_whether_it_is_held_does_not_take_it(tmp_path):
    assert not lock.is_held(tmp_path / "lock")
    held = lock.acquire(tmp_path / "lock", NOT_AT_ALL)
    assert lock.is_held(tmp_path / "lock")
    held.release()
    assert not lock.is_held(tmp_path / "lock")
