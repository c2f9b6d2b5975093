"""Which system a demonstration may play on."""

import os
from datetime import timedelta

import pytest

from app.embedded import lock, running


@pytest.fixture
def up(bare, tmp_path):
    """Leaves behind what a running `tocsin up` does, with an environment of its own."""
    held = lock.acquire(running.lock_of(tmp_path), timedelta(0))

    def up(**environment):
        running.publish(tmp_path, running.Running(pid=os.getpid(), environment=environment))

    yield up
    held.release()


def test_it_refuses_to_play_on_real_gateways(up, tocsin):
    up(DATABASE_URL="postgresql:///x", REDIS_URL="redis://x", POSTAL_URL="https://postal.example.org")
    said = tocsin("demo", "--json")
    assert said.code == 2
    assert said.out == ""
    assert "has real gateways" in said.err


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://x"},
        {"POSTAL_URL": "https://postal.example.org", "POSTAL_API_KEY": "x"},
        {"SES_CONFIGURATION_SET": "own"},
    ],
)
def test_it_starts_nothing_that_would_have_real_gateways(bare, tocsin, variables):
    for name, value in variables.items():
        bare.setenv(name, value)
    said = tocsin("demo")
    assert said.code == 2
    assert "plays with the simulator alone" in said.err


def test_where_up_cannot_start_its_words_are_passed_on(bare, tocsin):
    bare.setenv("DATA_DIR", "/dev/null/data")
    said = tocsin("demo")
    assert said.code == 2
    assert "`tocsin up` could not start:" in said.err
    assert "No directory for data can be made at /dev/null/data" in said.err
