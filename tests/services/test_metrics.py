"""Figures of all processes that share a directory add up."""

import os
import subprocess
import sys

COUNT = "from app.services.metrics import count_request; count_request('/v1/messages', 202)"
SHOW = "from app.services.metrics import exposition; print(exposition().decode())"


def run(code, directory):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return done.stdout.decode()


def test_what_two_processes_counted_adds_up_in_a_third(tmp_path):
    run(COUNT, tmp_path)
    run(COUNT, tmp_path)
    assert 'tocsin_requests_total{route="/v1/messages",status="2xx"} 2.0' in run(SHOW, tmp_path)
