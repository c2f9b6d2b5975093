"""`tocsin web` says in one line why it cannot start."""

import socket

import pytest

from app.cli import CONFIGURATION, run


@pytest.fixture
def port(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    monkeypatch.setenv("PORT", str(free))
    return free


def test_without_a_database_it_says_so(monkeypatch, port, capsys):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    assert run(["web"]) == CONFIGURATION
    assert "DATABASE_URL" in capsys.readouterr().err


def test_webhooks_alone_need_a_port_of_their_own(monkeypatch, capsys):
    monkeypatch.delenv("WEBHOOK_PORT", raising=False)
    assert run(["webhooks"]) == CONFIGURATION
    assert "WEBHOOK_PORT" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(monkeypatch, port, capsys):
    with socket.create_server(("127.0.0.1", port)):
        assert run(["web"]) == CONFIGURATION
    assert str(port) in capsys.readouterr().err
