"""Whether a TCP port can be had, and who has it if not."""

import socket
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError

_LISTENING = "0A"


def check_free(host: str, port: int, variable: str) -> None:
    """Return where we could listen there; raises ConfigurationError that names holder and variable."""
    family, address = _resolve(host, port, variable)
    with socket.socket(family) as probe:
        # As servers do, so that connections which are still fading away do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as exc:
            raise ConfigurationError(
                f"Port {port} is only for root; set {variable} to one above 1023."
            ) from exc
        except OSError as exc:
            raise ConfigurationError(
                f"Port {port} of {host} cannot be had ({exc.strerror}{_by_whom(port)}). "
                f"Stop that program, or set {variable} to another port."
            ) from exc


def _resolve(host: str, port: int, variable: str) -> tuple[socket.AddressFamily, Any]:
    try:
        first = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as exc:
        raise ConfigurationError(
            f"No address is known for {host}; set HOST to one of this machine, and {variable} to its port."
        ) from exc
    return first[0], first[4]


def _by_whom(port: int) -> str:
    holder = holder_of(port)
    return f": {holder} listens there" if holder else ""


def holder_of(port: int) -> str | None:
    """Name the process that listens on the port, as far as this system and our rights let us know."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        if sockets and _has_any(process, sockets):
            return f"process {process.name} ({_command(process)})"
    return None


def _inodes(port: int) -> set[str]:
    rows = [row.split() for table in ("tcp", "tcp6") for row in _rows(Path("/proc/net") / table)]
    return {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}


def _rows(table: Path) -> list[str]:
    try:
        return table.read_text().splitlines()[1:]
    except OSError:
        return []


def _has_any(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(link.readlink()) in sockets for link in (process / "fd").iterdir())
    except OSError:
        return False


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace").strip()[:80]
