"""Ports that are free now."""

import os
import random
import socket
from contextlib import ExitStack

from app.simulator.environment import GATEWAYS, HOST, port_of

# Below the ports that the system gives out itself. Each process looks in a part of its own, since what is
# free now may be taken by another that looks at the same time.
_FIRST, _PARTS, _PART = 12_000, 100, 200
_APART = 20


def free_base() -> int:
    """Find a base port for a simulator, with those of its gateways; raises OSError where all are taken."""
    assert len(GATEWAYS) < _APART
    start = _FIRST + os.getpid() % _PARTS * _PART
    own = list(range(start, start + _PART, _APART))
    others = [base for base in range(_FIRST, _FIRST + _PARTS * _PART, _APART) if base not in own]
    for base in (*random.sample(own, len(own)), *random.sample(others, len(others))):
        if _is_nobodys(base, *(port_of(gateway, base) for gateway in GATEWAYS)):
            return base
    raise OSError("no base port is free, for any simulator")


def free_port() -> int:
    """Find a port for a web process."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _is_nobodys(*ports: int) -> bool:
    """Tell whether nobody has these ports, not even an end of a connection that fades away."""
    with ExitStack() as stack:
        try:
            for port in ports:
                probe = stack.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
        except OSError:
            return False
        return True
