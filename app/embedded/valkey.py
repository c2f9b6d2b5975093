"""A Valkey server of our own, on one socket, that writes down what it is told every second."""

import os
import re
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import redis

from app.embedded.accounts import Account
from app.embedded.binaries import ValkeyProgram
from app.embedded.process import Command, Process
from app.errors import ConfigurationError, Unavailable

_SOCKET_WITHIN = timedelta(seconds=60)
_PAUSE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Valkey:
    """Where the server is and how it is run; the directory of `socket` exists.

    `kept` are descriptors it inherits: a lock among them is held for as long as it runs.
    """

    data: Path
    socket: Path
    log: Path
    program: ValkeyProgram
    account: Account
    durable: bool = True

    kept: tuple[int, ...] = ()

    name = "valkey"

    def prepare(self) -> None:
        """Make or check the directory; the caller holds its lock. Raises ConfigurationError."""
        if not self.data.exists():
            self.data.mkdir(mode=0o700)
            if not self.account.is_ours:
                os.chown(self.data, self.account.uid, self.account.gid)
        if self.data.stat().st_uid != self.account.uid:
            raise ConfigurationError(
                f"{self.data} does not belong to {self.account.name}. Start as the user who started it "
                "before, or set DATA_DIR to another directory."
            )

    def command(self) -> Command:
        """Say how it is started. Its configuration comes through its standard input, not a file."""
        return Command(
            name=self.name,
            arguments=(str(self.program.path), "-"),
            directory=self.data,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            account=self.account,
            output=self.log,
            feed=self._configuration().encode(),
            kept=self.kept,
            stop_signals=(signal.SIGTERM,),
            patience=timedelta(seconds=30),
        )

    def wait_until_ready(self, process: Process) -> None:
        """Return once it answers, however long it takes to read its data back.

        Raises Unavailable with its last words where it ends instead, or opens no socket in a minute.
        """
        deadline = time.monotonic() + _SOCKET_WITHIN.total_seconds()
        with redis.Redis.from_url(self.url()) as client:
            while not self._answers(client, deadline):
                if process.ended() is not None:
                    raise Unavailable(f"Valkey did not start:\n{self._last_words()}")
                time.sleep(_PAUSE)

    def url(self) -> str:
        """Give redis-py's address of the server; `?db=1` may be added to it."""
        return f"unix://{quote(str(self.socket), safe='/')}"

    def _answers(self, client: redis.Redis, deadline: float) -> bool:
        try:
            return bool(client.ping())
        except redis.BusyLoadingError:
            return False
        except redis.ConnectionError as exc:
            if time.monotonic() > deadline:
                raise Unavailable(f"Valkey opened no socket at {self.socket}; see {self.log}") from exc
            return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-5:] if self.log.exists() else []
        return "\n".join("  " + re.sub(r"^\d+:\w [^#*-]*", "", line) for line in lines)

    def _configuration(self) -> str:
        settings = dict(_SETTINGS)
        if not self.durable:
            settings |= {"appendonly": "no"}
        paths = {"dir": self.data, "unixsocket": self.socket}
        lines = [f"{name} {value}" for name, value in settings.items()]
        lines += [f'{name} "{_escaped(path)}"' for name, path in paths.items()]
        return "\n".join(lines) + "\n"


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "databases": "16",
    "appendonly": "yes",
    "appendfsync": "everysec",
    # Snapshots beside the append-only file would be a second copy of the same truth.
    "save": '""',
    # A ledger entry that was evicted would make a message's fate unknown.
    "maxmemory-policy": "noeviction",
    # The first Ctrl-C is for the whole system, which stops its parts in order.
    "shutdown-on-sigterm": "default",
    "daemonize": "no",
    "logfile": '""',
    "loglevel": "notice",
    "tcp-keepalive": "60",
    "io-threads": "1",
}
