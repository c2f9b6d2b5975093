import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest
import urllib3
from click.testing import CliRunner

from app.cli.simulate import simulate
from app.simulator.environment import GATEWAYS, port_of
from bench.ports import free_base

RUN = "from app.cli.simulate import simulate; simulate()"


@pytest.fixture
def base():
    return free_base()


@pytest.fixture
def run():
    processes = []

    def run(*arguments):
        command = [sys.executable, "-c", RUN, *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_list_shows_the_magic_recipients():
    result = CliRunner().invoke(simulate, ["--list"])
    assert result.exit_code == 0
    assert "soft-bounce@" in result.output
    assert "+1 555 452 …" in result.output
    assert "70c51550…" in result.output


def test_list_has_the_words_of_each_gateway_for_a_fate():
    # Wide enough that no words are broken.
    result = CliRunner().invoke(simulate, ["--list"], env={"COLUMNS": "400"})
    assert "postal: MessageSent, MessageBounced" in result.output
    assert "ses: Send, Delivery, Bounce" in result.output


def test_environment_can_be_put_into_a_file():
    result = CliRunner().invoke(simulate, ["--environment", "--port", "9000"])
    assert "POSTAL_URL=http://127.0.0.1:9001\n" in result.output


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly_when_told_to(run, base, how):
    process = run("--port", base)
    assert f"http://127.0.0.1:{base}/" in process.stdout.readline()
    lines = [process.stdout.readline().split() for _ in GATEWAYS]
    assert lines == [[name, f"http://127.0.0.1:{port_of(name, base)}"] for name in GATEWAYS]
    process.send_signal(how)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in rest


def test_a_taken_port_is_named(run, base):
    with contextlib.closing(socket.create_server(("127.0.0.1", base + 2))):
        process = run("--port", base)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"127.0.0.1:{base + 2}" in output
    assert "--port" in output


def test_a_killed_simulator_still_knows_what_it_took(run, base, tmp_path):
    body = b'{"to": ["anna@example.com"], "from": "n@example.org", "plain_body": "x", "tag": "t"}'
    headers = {"content-type": "application/json", "x-server-api-key": "simulator"}
    first = run("--port", base, "--journal", tmp_path / "journal")
    first.stdout.readline()
    answer = urllib3.request(
        "POST", f"http://127.0.0.1:{base + 1}/api/v1/send/message", body=body, headers=headers
    )
    assert answer.status == 200
    os.kill(first.pid, signal.SIGKILL)
    first.wait(timeout=20)
    run("--port", base, "--journal", tmp_path / "journal").stdout.readline()
    counts = urllib3.request("GET", f"http://127.0.0.1:{base}/_simulator/counts").json()
    assert counts["accepted"] == 1
