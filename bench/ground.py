"""The ground a bench stands on: servers of its own, the simulator, processes to be measured."""

import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psycopg

from app.db.migrate import upgrade
from app.embedded import places, servers
from app.embedded.guard import Guard
from app.embedded.supervisor import Supervisor
from app.simulator.environment import environment, port_of

PROJECT = Path(__file__).parents[1]
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a bench runs: variables that lead to the servers, and a folder of its own."""

    root: Path
    variables: Mapping[str, str]
    simulator_port: int
    guard: Guard

    @property
    def database(self) -> psycopg.Connection:
        """Connect as the owner of the tables, each statement by itself."""
        return psycopg.connect(_dsn(self.variables["MIGRATION_DATABASE_URL"]), autocommit=True)

    @property
    def environment(self) -> dict[str, str]:
        """What processes under measurement get to see."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, **self.variables, "PYTHONPATH": str(PROJECT)}

    @contextmanager
    def running(self, *command: str, **variables: str) -> Iterator["Measured"]:
        """Run a process of ours while the block runs, then stop it in order."""
        log = (self.root / f"{command[-1]}-{time.monotonic_ns()}.log").open("wb")
        process = subprocess.Popen(
            command, env={**self.environment, **variables}, cwd=self.root, stdout=log, stderr=log
        )
        try:
            yield Measured(process=process, log=Path(log.name))
        finally:
            process.terminate()
            process.wait(60)
            log.close()

    def tocsin(self, *arguments: str) -> tuple[str, ...]:
        """Give the command line of one of our own commands."""
        return (sys.executable, "-m", "app.cli", *arguments)

    def simulator(self, path: str, method: str = "GET", body: object = None) -> object:
        """Ask or tell the simulator something."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.simulator_port}/_simulator/{path}",
            method=method,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return orjson.loads(answer.read() or b"null")

    def accepted(self) -> int:
        """Tell how many messages the gateways have taken."""
        counts = self.simulator("counts")
        assert isinstance(counts, dict)
        return int(counts["accepted"])


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A process whose use of the machine is looked at."""

    process: subprocess.Popen[bytes]
    log: Path

    def family(self) -> list[int]:
        """List the process and what it forked."""
        pids = [self.process.pid]
        for pid in pids:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                pids += [int(child) for child in children.read_text().split()]
        return pids

    def cpu(self) -> float:
        """Tell the seconds of CPU that the process and its children have used."""
        return sum(_cpu(pid) for pid in self.family())

    def peak_memory(self) -> int:
        """Tell the most memory, in bytes, that any of them has held."""
        return max(_status(pid, "VmHWM") for pid in self.family())


@contextmanager
def ground(*, simulator: tuple[str, ...] = ("--quiet",), webhooks: str | None = None) -> Iterator[Ground]:
    """Start PostgreSQL, Valkey and the simulator in a fresh folder; all of it is gone afterwards."""
    base = _free_base()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        os.chmod(folder, 0o711)
        place = places.make(Path(folder) / "data")
        guard = Guard()
        supervisor = Supervisor(guard=guard, report=lambda *_: None)
        try:
            started = servers.start(
                place, servers.Wanted(postgres=True, valkey=True), supervisor, durable=True
            )
            addresses = dict(started.addresses)
            upgrade(addresses["MIGRATION_DATABASE_URL"], application_url=addresses["DATABASE_URL"])
            variables = {**addresses, **environment(base), "LOG_LEVEL": "warning"}
            stage = Ground(root=Path(folder), variables=variables, simulator_port=base, guard=guard)
            told = ("--webhooks", webhooks) if webhooks else ()
            with stage.running(*stage.tocsin("simulate", "--port", str(base), *simulator, *told)):
                _until_answers(stage)
                yield stage
        finally:
            supervisor.stop()
            guard.close()


def cpu_of_children() -> float:
    """Tell the seconds of CPU that processes waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _until_answers(stage: Ground) -> None:
    for _ in range(200):
        try:
            stage.accepted()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the simulator does not answer")


def _free_base() -> int:
    import socket  # noqa: PLC0415 - only here

    for base in range(21_000, 29_000, 10):
        ports = (base, port_of("postal", base), port_of("ses", base))
        with socket.socket() as probe:
            if all(probe.connect_ex(("127.0.0.1", port)) for port in ports):
                return base
    raise RuntimeError("no free ports")


def _dsn(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
