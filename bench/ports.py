"""Ports that are free now."""

import os
import random
import socket

from app.simulator.environment import GATEWAYS, port_of

# Below the ports that the system gives out itself. Each process looks in a part of its own, since what is
# free now may be taken by another that looks at the same time.
_FIRST, _PARTS, _PART = 12_000, 100, 200
_APART = 20


def free_base() -> int:
    """Find a base port for a simulator, with those of its gateways."""
    assert len(GATEWAYS) < _APART
    while True:
        start = _FIRST + os.getpid() % _PARTS * _PART
        base = random.randrange(start, start + _PART, _APART)  # noqa: S311 - any will do
        if all(is_free(port) for port in (base, *(port_of(gateway, base) for gateway in GATEWAYS))):
            return base


def free_port() -> int:
    """Find a port for a web process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
