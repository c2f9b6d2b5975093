"""The servers of a project, started together and kept by a supervisor."""

import os
import signal
import time
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


def start(place: Place, wanted: Wanted, supervisor: Supervisor) -> dict[str, str]:
    """Start the wanted servers and wait until they answer; gives the variables that lead to them.

    Raises ConfigurationError, Unavailable with their last words, or Held where another process has them.
    """
    postgres = _postgres(place) if wanted.postgres else None
    valkey = _valkey(place) if wanted.valkey else None
    processes = [
        (server, supervisor.start(server, time.monotonic())) for server in (postgres, valkey) if server
    ]
    for server, process in processes:
        server.wait_until_ready(process)
    addresses = {}
    if postgres:
        postgres.ensure_database()
        addresses["DATABASE_URL"] = postgres.url()
        addresses["MIGRATION_DATABASE_URL"] = postgres.url(role=cluster.OWNER)
    if valkey:
        addresses["REDIS_URL"] = valkey.url()
    return addresses


def _postgres(place: Place) -> Postgres:
    held = _lock(place.root / "postgres.lock", place.postgres)
    found = binaries.find_postgres()
    return Postgres(
        data=place.postgres,
        sockets=place.sockets,
        log=place.logs / "postgres.log",
        programs=binaries.postgres_for(found, place.account, place.programs),
        account=place.account,
        tuning=tuning.of_this_machine(),
        kept=(held.descriptor,),
    )


def _valkey(place: Place) -> Valkey:
    held = _lock(place.root / "valkey.lock", place.valkey)
    found = binaries.find_valkey()
    return Valkey(
        data=place.valkey,
        socket=place.sockets / "valkey.sock",
        log=place.logs / "valkey.log",
        program=binaries.valkey_for(found, place.account, place.programs),
        account=place.account,
        kept=(held.descriptor,),
    )


def _lock(path: Path, data: Path) -> lock.Lock:
    try:
        return lock.acquire(path, _PATIENCE)
    except lock.Held as held:
        if held.holder_lives:
            raise
    # Neither the run that started this server nor its watchdog is left, so it falls to us to stop it.
    for pid in _processes_in(data):
        os.kill(pid, signal.SIGINT)
    return lock.acquire(path, _PATIENCE)


def _processes_in(data: Path) -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(process, data)]


def _works_in(process: Path, data: Path) -> bool:
    try:
        return (process / "cwd").samefile(data)
    except OSError:
        return False
