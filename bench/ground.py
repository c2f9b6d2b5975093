"""The ground a bench stands on: servers of its own, simulated gateways, processes to be measured."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg

from app.db.migrate import upgrade
from app.embedded import places, servers
from app.embedded.guard import Guard
from app.embedded.supervisor import Supervisor
from app.simulator.environment import environment as gateway_environment
from bench.gateways import Gateways
from bench.ports import free_base
from bench.processes import PROJECT, Measured, running, tocsin
from bench.waiting import until

AHEAD = -10


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a bench runs: variables that lead to the servers, and a folder of its own."""

    root: Path
    variables: Mapping[str, str]
    gateways: Gateways
    guard: Guard

    def connect(self) -> psycopg.Connection:
        """Connect as the owner of the tables, each statement by itself."""
        return psycopg.connect(dsn(self.variables["MIGRATION_DATABASE_URL"]), autocommit=True)

    def running(self, *command: str, **variables: str) -> AbstractContextManager[Measured]:
        """Run a process while the block runs, then stop it in order."""
        return running(self.guard, command, {**self.variables, **variables}, self.root)


@contextmanager
def ground(*simulator: str) -> Iterator[Ground]:
    """Start PostgreSQL, Valkey and the simulator in a fresh folder; all of it is gone afterwards.

    `simulator` are options for it, beyond its ports.
    """
    base = free_base()
    with fresh_folder() as folder, guarded() as guard:
        supervisor = Supervisor(guard=guard, report=lambda *_: None)
        try:
            addresses = _servers(folder, supervisor)
            variables = {**addresses, **gateway_environment(base), "LOG_LEVEL": "warning"}
            with simulated(guard, folder, base, *simulator) as gateways:
                yield Ground(root=folder, variables=variables, gateways=gateways, guard=guard)
        finally:
            supervisor.stop()


@contextmanager
def simulated(guard: Guard, folder: Path, base: int, *options: str) -> Iterator[Gateways]:
    """Run a simulator on these ports while the block runs."""
    gateways = Gateways(port=base)
    with running(guard, tocsin("simulate", "--port", str(base), *options, "--quiet"), {}, folder) as process:
        # Real gateways have machines of their own.
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, process.pid, AHEAD)
        until(lambda: _answers(gateways), "the simulator answers")
        yield gateways


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """Make a folder that the servers' account may pass through, and remove it."""
    _refuse_beside_settings()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        # The servers do not run as root, and nobody may look in.
        Path(folder).chmod(0o711)
        yield Path(folder)


@contextmanager
def guarded() -> Iterator[Guard]:
    """Have everything stopped that was started in the block, also where the bench is killed."""
    guard = Guard()
    try:
        yield guard
    finally:
        guard.close()


def dsn(url: str) -> str:
    """Give libpq's address for SQLAlchemy's."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def _servers(folder: Path, supervisor: Supervisor) -> dict[str, str]:
    wanted = servers.Wanted(postgres=True, valkey=True)
    addresses = dict(servers.start(places.make(folder / "data"), wanted, supervisor).addresses)
    upgrade(addresses["MIGRATION_DATABASE_URL"], application_url=addresses["DATABASE_URL"])
    return addresses


def _answers(gateways: Gateways) -> bool:
    try:
        gateways.accepted()
    except OSError:
        return False
    return True


def _refuse_beside_settings() -> None:
    """What stands in `.env` would be obeyed: a bench must reach neither real gateways nor real data."""
    if (PROJECT / ".env").exists():
        raise click.ClickException("Benches do not run beside a file .env; move it away for the time.")
