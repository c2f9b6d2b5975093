"""The servers of a project, started together and kept by a supervisor."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.embedded import binaries, cluster, lock, tuning
from app.embedded.places import Place
from app.embedded.postgres import Postgres
from app.embedded.supervisor import Supervisor
from app.embedded.valkey import Valkey

# Servers of a run that was killed are gone after five seconds.
_PATIENCE = timedelta(seconds=8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which servers have to be ours."""

    postgres: bool
    valkey: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Servers:
    """Servers that answer: the variables that lead to them, and the locks on their data."""

    addresses: Mapping[str, str]
    locks: tuple[lock.Lock, ...]

    def release(self) -> None:
        """Give up the locks, once the servers were stopped."""
        for held in self.locks:
            held.release()


def start(place: Place, wanted: Wanted, supervisor: Supervisor, *, durable: bool = True) -> Servers:
    """Start the wanted servers together, and wait until they answer and the database is there.

    Raises ConfigurationError, Unavailable with their last words, or Held where another process has them.
    What is not `durable` survives a kill and no power cut, for tests.
    """
    locks = {data: _lock(data) for data in _directories(place, wanted)}
    postgres = _postgres(place, locks[place.postgres], durable=durable) if wanted.postgres else None
    valkey = _valkey(place, locks[place.valkey]) if wanted.valkey else None
    processes = [
        (server, supervisor.start(server, time.monotonic())) for server in (postgres, valkey) if server
    ]
    for server, process in processes:
        server.wait_until_ready(process)
    addresses = _database(postgres) if postgres else {}
    if valkey:
        addresses["REDIS_URL"] = valkey.url()
    return Servers(addresses=addresses, locks=tuple(locks.values()))


def _directories(place: Place, wanted: Wanted) -> list[Path]:
    chosen = ((wanted.postgres, place.postgres), (wanted.valkey, place.valkey))
    return [data for is_wanted, data in chosen if is_wanted]


def _database(postgres: Postgres) -> dict[str, str]:
    postgres.ensure_database()
    return {
        "DATABASE_URL": postgres.url(),
        "MIGRATION_DATABASE_URL": postgres.url(role=cluster.OWNER),
    }


def _postgres(place: Place, held: lock.Lock, *, durable: bool) -> Postgres:
    found = binaries.find_postgres()
    return Postgres(
        data=place.postgres,
        sockets=place.sockets,
        log=place.logs / "postgres.log",
        programs=binaries.postgres_for(found, place.account, place.programs),
        account=place.account,
        tuning=tuning.of_this_machine(durable=durable),
        kept=(held.descriptor,),
    )


def _valkey(place: Place, held: lock.Lock) -> Valkey:
    found = binaries.find_valkey()
    return Valkey(
        data=place.valkey,
        socket=place.sockets / "valkey.sock",
        log=place.logs / "valkey.log",
        program=binaries.valkey_for(found, place.account, place.programs),
        account=place.account,
        kept=(held.descriptor,),
    )


def _lock(data: Path) -> lock.Lock:
    path = data.with_name(data.name + ".lock")
    try:
        return lock.acquire(path, _PATIENCE)
    except lock.Held as held:
        if held.holder_lives:
            raise
    # Neither the run that started this server nor its watchdog is left, so it falls to us to stop it.
    for pid in _processes_in(data):
        # One may take others along.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    return lock.acquire(path, _PATIENCE)


def _processes_in(data: Path) -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(process, data)]


def _works_in(process: Path, data: Path) -> bool:
    try:
        return (process / "cwd").samefile(data)
    except OSError:
        return False
