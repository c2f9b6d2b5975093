"""The demonstration, on a whole system that it starts and stops itself."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

PROMISES = 7


@pytest.fixture
def data(quick_disk):
    """A directory for data that the servers' account may enter."""
    root = Path(tempfile.mkdtemp(prefix="tocsin-demo-", dir=quick_disk))
    root.chmod(0o755)
    yield root / "data"
    shutil.rmtree(root)


@pytest.fixture
def ports():
    """A free port for the web process, and the first of three free ones in a row for the simulator.

    They lie below those that systems give to outgoing connections, so that they stay free until used.
    """
    while True:
        first = random.randrange(20_000, 32_000)  # noqa: S311 - any will do
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + 4):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first, first + 1


def test_it_accounts_for_every_message_and_leaves_nothing_running(data, ports, eventually):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", "demo", "--small", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PORT": str(ports[0]),
            "SIMULATOR_PORT": str(ports[1]),
            "DATA_DIR": str(data),
        },
    )
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert [promise["held"] for promise in told["promises"]] == [True] * PROMISES
    assert {row["audience"]: sum(row["statuses"].values()) for row in told["rows"]} == {
        "P0 email": 20, "P1 email": 50, "P2 email": 200, "P3 email": 1_000, "P4 email": 20,
        "P1 sms": 40, "P4 whatsapp": 8, "P0 voice": 6, "P3 push fcm": 80, "P3 push apns": 40,
    }  # fmt: skip
    for failover in told["failovers"]:
        assert failover["took_over_after"] is not None
        assert failover["through"].keys() - {failover["primary"]}
    assert "postal and twilio: down" in done.stderr
    eventually(lambda: not (data / "running.json").exists() and processes_of(data) == [])


def processes_of(data):
    """Give the pids of all processes that have the directory in their environment or arguments."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _belongs(process, data)]


def _belongs(process, data):
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        return str(data).encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    except OSError:
        return False
