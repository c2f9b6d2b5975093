"""Ports that are free now."""

import random
import socket

from app.simulator.environment import GATEWAYS, port_of


def free_base() -> int:
    """Find a base port for a simulator, with those of its gateways."""
    while True:
        # Below the ports that the system gives out itself; by chance, as another bench may look too.
        base = random.randrange(20_000, 32_000, 10)  # noqa: S311 - any will do
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
