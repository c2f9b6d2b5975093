"""A connection on which a relay has let us in, and what tells whether it is still of use."""

import select
from collections.abc import Callable
from dataclasses import dataclass

import pycurl

from app.gateways.base import MailRequest, Tls
from app.gateways.sockets import SPOKEN_OR_CLOSED

MOST_LINES_OF_GREETING = 200

Key = tuple[str, str | None, str | None, Tls]


@dataclass(slots=True, eq=False)
class Line:
    """A connection whose relay has let us in. `used` says whether it has carried a mail."""

    key: Key
    curl: pycurl.Curl
    socket: int
    offers: dict[str, str]
    used: bool = False
    needs_reset: bool = False
    idle_since: float = 0.0


def key_of(request: MailRequest) -> Key:
    """Give what two mails must have in common to go over one connection."""
    return request.url, request.username, request.password, request.tls


def has_ended(line: Line) -> bool:
    """Tell whether a relay has closed an idle connection, or said something that nobody asked for."""
    probe = select.poll()
    probe.register(line.socket, SPOKEN_OR_CLOSED)
    return bool(probe.poll(0))


def bounded(lines: list[bytes]) -> Callable[[bytes], int]:
    """Keep what a relay says while it lets us in; one that never ends is cut off."""

    def keep(line: bytes) -> int:
        lines.append(line)
        return len(line) if len(lines) <= MOST_LINES_OF_GREETING else -1

    return keep
