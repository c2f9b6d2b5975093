"""`tocsin up`: the whole system on this machine, with nothing to install."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click
import sqlalchemy as sa

from app import settings as config
from app.cli.lines import Lines, on_terminal
from app.cli.plan import Plan, decide
from app.db.engine import make_engine
from app.db.migrate import upgrade
from app.embedded import lock, places, running, servers
from app.embedded.guard import Guard
from app.embedded.process import Command
from app.embedded.supervisor import Child, Supervisor
from app.errors import Conflict
from app.services.first_administrator import first_administrator
from app.services.keys import machine_key, seed_senders
from app.settings import Settings

_TICK = 0.2
_OURS = "tocsin"
# What is left of a run that was killed needs five seconds to go.
_PATIENCE = timedelta(seconds=8)
_DRAIN = timedelta(seconds=40)


@click.command()
def up() -> None:
    """Run the whole system here: servers, web, workers, scheduler and, without gateways, the simulator.

    PostgreSQL and Valkey are started too where DATABASE_URL and REDIS_URL do not name others. Ctrl-C stops
    everything in order; a second one stops it at once.
    """
    began = time.monotonic()
    settings = config.load()
    plan = decide(settings)
    place = places.make(places.root_of(config.PROJECT, settings.data_dir))
    held = _claim(place.root)
    plan.check_ports()
    lines = on_terminal()
    guard = Guard(kept=(held.descriptor,))
    supervisor = Supervisor(guard=guard, report=lines.say, follow=lines.follow)
    stop = Stop()
    try:
        database = _start(plan, settings, place, supervisor, lines)
        welcome = Welcome(plan=plan, database=database, root=place.root, began=began, lines=lines)
        stop.interrupts = False
        _keep(supervisor, stop, welcome)
    except KeyboardInterrupt:
        lines.say(_OURS, "interrupted while starting")
    finally:
        stop.interrupts = False
        lines.say(_OURS, "stopping; once more stops at once")
        supervisor.stop()
        running.withdraw(place.root)
        guard.close()
        lines.say(_OURS, "stopped")


class Stop:
    """What a signal to stop does: ends the start, ends the watch, and the second time ends all at once."""

    def __init__(self) -> None:
        self.asked = False
        self.interrupts = True
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, self._hear)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            # The watchdog sees to the rest.
            os._exit(128 + signal.SIGINT)
        self.asked = True
        if self.interrupts:
            raise KeyboardInterrupt


@dataclass(kw_only=True)
class Welcome:
    """Says once that the system is ready, and where its doors are."""

    plan: Plan
    database: str
    root: Path
    began: float
    lines: Lines
    said: bool = False

    def say_when_ready(self) -> None:
        """Look whether the web process answers by now."""
        if self.said or not _answers(self.plan.web_url):
            return
        self.said = True
        seconds = time.monotonic() - self.began
        for line in (
            *_doors(self.plan, self.database, self.root),
            f"ready after {seconds:.1f} s; Ctrl-C stops",
        ):
            self.lines.say(_OURS, line)


def _claim(root: Path) -> lock.Lock:
    try:
        return lock.acquire(running.lock_of(root), _PATIENCE)
    except lock.Held as exc:
        raise Conflict(
            f"Tocsin is up here already, as process {exc.pid} (its data: {root}). Use that one, stop it by "
            "Ctrl-C, or set DATA_DIR and PORT for a second one."
        ) from exc


def _start(plan: Plan, settings: Settings, place: places.Place, supervisor: Supervisor, lines: Lines) -> str:
    """Start everything in order; gives the database's address."""
    lines.say(_OURS, f"data in {place.root}")
    addresses = servers.start(place, plan.wanted, supervisor).addresses
    for name in sorted(set(addresses) & {"DATABASE_URL", "REDIS_URL"}):
        lines.say(_OURS, f"{name}={addresses[name]}")
    database = addresses.get("DATABASE_URL") or str(settings.database_url)
    owner = addresses.get("MIGRATION_DATABASE_URL") or settings.migration_database_url or database
    upgrade(owner, application_url=database)
    environment = {
        **plan.environment,
        **addresses,
        **_doors_of(plan),
        **(_simulator(plan, place, settings) if plan.simulator_port else {}),
        "PROMETHEUS_MULTIPROC_DIR": str(_metrics(settings, place)),
    }
    running.publish(place.root, running.Running(pid=os.getpid(), environment=environment))
    for name in plan.commands:
        supervisor.start(Child(of=_command(name, environment)), time.monotonic())
    if plan.simulator_port:
        with _connected(database) as engine:
            seed_senders(engine)
    return database


def _doors_of(plan: Plan) -> dict[str, str]:
    """Name our ports, so that commands in another terminal find them, and say what is so."""
    doors = {"PORT": plan.port, "WEBHOOK_PORT": plan.webhook_port, "SIMULATOR_PORT": plan.simulator_port}
    return {"HOST": plan.host, **{name: str(port) for name, port in doors.items() if port}}


def _simulator(plan: Plan, place: places.Place, settings: Settings) -> dict[str, str]:
    """Say where the simulator tells what became of messages, and where it remembers them.

    Some gateways call back only at addresses that we name.
    """
    directory = place.root / "simulator"
    directory.mkdir(mode=0o700, exist_ok=True)
    return {
        "PUBLIC_BASE_URL": settings.public_base_url or plan.webhook_url,
        "SIMULATOR_WEBHOOKS": plan.webhook_url,
        "SIMULATOR_JOURNAL": str(directory / "journal"),
        "SIMULATOR_KEYS": str(directory),
    }


@contextmanager
def _connected(database: str) -> Iterator[sa.Engine]:
    engine = make_engine(database, pool=1, name="up")
    try:
        yield engine
    finally:
        engine.dispose()


def _metrics(settings: Settings, place: places.Place) -> Path:
    directory = settings.prometheus_multiproc_dir or place.root / "metrics"
    directory.mkdir(parents=True, exist_ok=True)
    # Numbers of processes that are gone would be counted again.
    for numbers in directory.glob("*.db"):
        numbers.unlink()
    return directory


def _command(name: str, environment: Mapping[str, str]) -> Command:
    """Say how a process of the Procfile is started, with the interpreter that we run in."""
    return Command(
        name=name,
        arguments=(sys.executable, "-P", "-m", "app.cli", name),
        directory=config.PROJECT,
        environment={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        patience=_DRAIN,
    )


def _keep(supervisor: Supervisor, stop: Stop, welcome: Welcome) -> None:
    while not stop.asked:
        supervisor.tick(time.monotonic())
        welcome.say_when_ready()
        time.sleep(_TICK)


def _doors(plan: Plan, database: str, root: Path) -> list[str]:
    """Say where to go in, with this machine's API key; who is the first gets an account for the console."""
    with _connected(database) as engine:
        key, made = machine_key(engine, root), first_administrator(engine)
    doors = [f"console    {plan.web_url}/admin"]
    if made is not None:
        doors.append(f"           sign in as {made.email} with {made.password} (shown this once)")
    doors += [f"API docs   {plan.web_url}/docs", f"API key    {key}"]
    if plan.simulator_url:
        doors.append(f"simulator  {plan.simulator_url} plays all gateways: nothing leaves this machine")
    return doors


def _answers(url: str) -> bool:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200  # noqa: PLR2004 - OK, in HTTP's own numbers.
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
