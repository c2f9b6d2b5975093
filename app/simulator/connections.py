"""Cutting connections that the HTTP server holds, without a word to the client."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")


def cut_client(client: str) -> None:
    """Cut the connection whose far end is `client`, written as "address:port"."""
    _cut(lambda connection: _written(connection.getpeername()) == client)


def cut_all(port: int) -> None:
    """Cut every connection that came in on this port."""
    _cut(lambda connection: bool(connection.getpeername()) and connection.getsockname()[1] == port)


def _cut(chosen: Callable[[socket.socket], bool]) -> None:
    for connection in _sockets():
        with connection:
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6) and chosen(connection):
                    connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # Not connected, or its far end has gone by itself.


def _sockets() -> Iterator[socket.socket]:
    """Give a copy of every socket this process holds: the server does not tell us which are its own."""
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - on the way of each cut, names suffice
        try:
            copy = os.dup(int(name))
        except OSError:
            continue  # Closed since it was listed.
        try:
            yield socket.socket(fileno=copy)
        except OSError:
            os.close(copy)  # A file, not a socket.


def _written(name: tuple[str, int]) -> str:
    return f"{name[0]}:{name[1]}"
