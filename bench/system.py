"""The whole system for a bench, as `tocsin up` runs it, with simulated gateways beside it."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from app.embedded import places
from app.embedded.guard import Guard
from app.simulator.environment import environment as gateway_environment
from bench import fill
from bench.gateways import Gateways
from bench.ground import dsn, fresh_folder, guarded, simulated
from bench.ports import free_base, free_port
from bench.processes import Measured, children, command_line, family, running, tocsin
from bench.waiting import until

# How the parts of the system are known among the children of `up`.
_PARTS = {
    "web": "app.cli web",
    "webhooks": "app.cli webhooks",
    "workers": "app.cli workers",
    "scheduler": "app.cli scheduler",
    "postgres": "postgres -D",
    "valkey": "valkey-server",
}


@dataclass(frozen=True, kw_only=True)
class System:
    """A running system: its address and key, its data, its gateways."""

    root: Path
    port: int
    up: Measured
    gateways: Gateways
    guard: Guard

    @property
    def key(self) -> str:
        """Give the API key of this machine."""
        return (self._data / "machine.key").read_text().strip()

    def connect(self) -> psycopg.Connection:
        """Connect as the owner of the tables, each statement by itself."""
        return psycopg.connect(dsn(self.variables()["MIGRATION_DATABASE_URL"]), autocommit=True)

    def redis(self, database: int = 0) -> redis.Redis:
        """Make a client of the Valkey."""
        return redis.Redis.from_url(self.variables()["REDIS_URL"], db=database)

    def running(self, *command: str) -> AbstractContextManager[Measured]:
        """Run another process of this system while the block runs."""
        return running(self.guard, command, self.variables(), self.root)

    def variables(self) -> dict[str, str]:
        """Give the environment of the system's processes, beyond what all have."""
        path = places.make(self._data).running
        variables: dict[str, str] = json.loads(path.read_text())["environment"]
        return {**gateway_environment(self.gateways.port), **variables}

    def part(self, name: str) -> int | None:
        """Give the process of one part, None while there is none."""
        return next((pid for pid in children(self.up.pid) if _PARTS[name] in command_line(pid)), None)

    def parts(self) -> dict[str, list[int]]:
        """List the processes of every part that is there."""
        found = {name: self.part(name) for name in _PARTS}
        return {name: family(pid) for name, pid in found.items() if pid}

    @property
    def _data(self) -> Path:
        return self.root / "data"


@contextmanager
def system(*simulator: str, journal: bool = False, **settings: str) -> Iterator[System]:
    """Bring a whole system up in a fresh folder, and take it down.

    `simulator` are options for the simulated gateways, whose webhooks come back; with a `journal` they
    have each acceptance on disk before they answer. `settings` are environment variables of the system.
    """
    base, port, webhook_port = free_base(), free_port(), free_port()
    with fresh_folder() as folder, guarded() as guard:
        told = ["--webhooks", f"http://127.0.0.1:{webhook_port}", "--subscribed", *simulator]
        if journal:
            told += ["--journal", str(folder / "journal")]
        variables = {
            **gateway_environment(base),
            "DATA_DIR": str(folder / "data"),
            "PORT": str(port),
            "WEBHOOK_PORT": str(webhook_port),
            "LOG_LEVEL": "warning",
            **settings,
        }
        with simulated(guard, folder, base, *told) as gateways, _up(guard, folder, variables) as up:
            whole = System(root=folder, port=port, up=up, gateways=gateways, guard=guard)
            with whole.connect() as database:
                fill.prepare(database)
            yield whole


@contextmanager
def _up(guard: Guard, folder: Path, variables: dict[str, str]) -> Iterator[Measured]:
    with running(guard, tocsin("up"), variables, folder) as up:
        until(lambda: "ready after" in up.words() or up.process.ended() is not None, "the system is up")
        assert up.process.ended() is None, up.words()
        yield up
