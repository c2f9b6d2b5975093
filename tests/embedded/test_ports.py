import os
import socket

import pytest

from app.embedded import ports
from app.errors import ConfigurationError


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_its_holder_and_the_variable(listener):
    with pytest.raises(ConfigurationError) as raised:
        ports.check_free("127.0.0.1", listener, "PORT")
    said = str(raised.value)
    assert f"Port {listener} " in said
    assert f"process {os.getpid()} " in said
    assert "set PORT" in said


def test_a_port_taken_on_one_address_cannot_be_had_on_all(listener):
    with pytest.raises(ConfigurationError):
        ports.check_free("0.0.0.0", listener, "PORT")  # noqa: S104 - Bound for an instant, never listened on.


def test_a_free_port_is_left_free(listener):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ports.check_free("127.0.0.1", port, "PORT")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_connections_that_fade_away_do_not_count():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            # The side that closes first is the one that waits.
            server.accept()[0].close()
            client.recv(1)
    ports.check_free("127.0.0.1", port, "PORT")


def test_an_unknown_host_is_named():
    with pytest.raises(ConfigurationError, match=r"no\.such\.host\.invalid.*HOST"):
        ports.check_free("no.such.host.invalid", 8000, "PORT")


def test_nobody_holds_a_free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ports.holder_of(port) is None
