import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.ports import free_base

# `tocsin up` with commands that are quick to start and do nothing.
UP = """
import sys
from app import cli
from app.cli import up
from app.embedded.process import Command

CODES = {
    "web": '''
import http.server, os
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("web of", os.environ["DATABASE_URL"].split("?")[0], os.environ["SIMULATED"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Healthy).serve_forever()
''',
    "workers": '''
import signal, sys, time
def drain(*_):
    print("draining", flush=True); time.sleep(0.2); print("drained", flush=True); sys.exit()
signal.signal(signal.SIGTERM, drain)
print("working", flush=True)
time.sleep(600)
''',
}
real = up._command
def dummy(name, environment):
    command = real(name, environment)
    code = CODES.get(name, "import time; print('here', flush=True); time.sleep(600)")
    fields = {field: getattr(command, field) for field in Command.__slots__}
    return Command(**{**fields, "arguments": (sys.executable, "-c", code)})
up._command = dummy
up.machine_key = lambda _engine, _root: "tcs_dummy"
sys.exit(cli.run(["up"]))
"""


@pytest.fixture
def data(quick_disk):
    """A directory for data that the servers' account may enter."""
    root = Path(tempfile.mkdtemp(prefix="tocsin up ", dir=quick_disk))
    root.chmod(0o755)
    yield root / "data"
    shutil.rmtree(root)


@pytest.fixture
def ports():
    """A free port for the web process, and the first of some free ones in a row for the simulator."""
    return free_base(), free_base()


@pytest.fixture
def up(data, ports):
    """Starts `tocsin up`; what is left of it is stopped at the end."""
    started = []

    def up(**variables):
        own = {"PORT": str(ports[0]), "SIMULATOR_PORT": str(ports[1]), "DATA_DIR": str(data)}
        popen = subprocess.Popen(
            [sys.executable, "-u", "-c", UP],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.environ["PATH"], **own, **variables},
        )
        started.append(popen)
        return popen

    yield up
    for popen in started:
        popen.terminate()
        popen.communicate()


def until(popen, text):
    said = []
    for line in popen.stdout:
        said.append(line)
        if text in line:
            return said
    pytest.fail(f"never said {text!r}:\n{''.join(said)}")


def names(lines, text):
    return [line.split("│")[0].strip() for line in lines if text in line]


def processes_of(data):
    """Give the pids of all that runs with the mark of that run, and of its servers."""
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if int(process.name) != os.getpid() and _belongs(process, data)
    ]


def _belongs(process, data):
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        return str(data).encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_it_says_when_it_is_ready_and_where_its_doors_are(up, ports):
    said = "".join(until(up(), "ready after"))
    assert f"API docs   http://127.0.0.1:{ports[0]}/docs" in said
    assert f"simulator  http://127.0.0.1:{ports[1]} " in said
    assert re.search(r"API key    tcs_\S+", said)
    assert "web of postgresql+psycopg://tocsin@/tocsin true" in said
    assert f"console    http://127.0.0.1:{ports[0]}/admin" in said
    assert re.search(r"sign in as admin@tocsin\.internal with \S{20,} \(shown this once\)", said)


def test_ctrl_c_stops_in_order_and_lets_the_workers_finish(up, data, eventually):
    popen = up()
    until(popen, "ready after")
    popen.send_signal(signal.SIGINT)
    said = popen.communicate(timeout=60)[0].splitlines()
    assert names(said, "stopping")[1:] == ["workers", "web", "scheduler", "simulate", "valkey", "postgres"]
    assert names(said, "drained") == ["workers"]
    assert popen.returncode == 0
    eventually(lambda: processes_of(data) == [])


def test_a_second_ctrl_c_ends_it_at_once_and_leaves_nothing(up, data, eventually):
    popen = up()
    until(popen, "ready after")
    popen.send_signal(signal.SIGINT)
    until(popen, "stopping")
    popen.send_signal(signal.SIGINT)
    assert popen.wait(timeout=60) in {130, 0}
    eventually(lambda: processes_of(data) == [], within=5)


def test_five_seconds_after_kill_9_nothing_is_left_and_the_next_goes_on(up, data, eventually):
    popen = up()
    until(popen, "ready after")
    assert len(processes_of(data)) > 6
    popen.kill()
    popen.wait()
    eventually(lambda: processes_of(data) == [], within=5)
    until(up(), "ready after")


def test_a_child_that_is_killed_is_started_again(up, data):
    popen = up()
    until(popen, "ready after")
    (web,) = [pid for pid in processes_of(data) if b"Healthy" in Path(f"/proc/{pid}/cmdline").read_bytes()
              and b"cli.run" not in Path(f"/proc/{pid}/cmdline").read_bytes()]  # fmt: skip
    os.kill(web, signal.SIGKILL)
    said = until(popen, "runs again")
    assert names(said, "killed by signal 9") == ["web"]


def test_a_second_up_is_told_which_process_is_up(up):
    first = up()
    until(first, "ready after")
    second = up()
    assert f"as process {first.pid}" in second.communicate(timeout=60)[0]
    assert second.returncode == 5


@pytest.mark.parametrize("which", ["PORT", "SIMULATOR_PORT"])
def test_a_taken_port_stops_it_before_anything_starts(up, data, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        popen = up(**{which: str(port)})
        said = popen.communicate(timeout=60)[0]
    assert popen.returncode == 3
    assert f"Port {port} " in said
    assert f"process {os.getpid()} " in said
    assert f"set {which} " in said
    assert not (data / "postgres").exists()


def test_gateways_call_back_where_webhooks_have_a_port_of_their_own(up, data):
    port = free_base()
    until(up(WEBHOOK_PORT=str(port), PUBLIC_BASE_URL="https://tocsin.example.org"), "ready after")
    told = json.loads((data / "running.json").read_text())["environment"]
    assert told["SIMULATOR_WEBHOOKS"] == f"http://127.0.0.1:{port}"
    assert told["WEBHOOK_PORT"] == str(port)
    assert told["PUBLIC_BASE_URL"] == "https://tocsin.example.org"


def test_others_find_the_running_system_by_its_file(up, data, ports):
    popen = up()
    until(popen, "ready after")
    facts = json.loads((data / "running.json").read_text())
    assert facts["pid"] == popen.pid
    assert set(facts["environment"]) >= {"DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "POSTAL_URL"}
    told = {name: facts["environment"].get(name) for name in ("PORT", "SIMULATOR_PORT")}
    assert told == {"PORT": str(ports[0]), "SIMULATOR_PORT": str(ports[1])}
    assert (data / "running.json").stat().st_mode & 0o077 == 0
