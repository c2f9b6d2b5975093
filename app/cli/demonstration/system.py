"""The system that a demonstration plays on: the one that runs here, or one started for it."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread

from app import settings as config
from app.bootstrap import in_order
from app.cli import local
from app.cli.demonstration.api import Http, Unexpected
from app.cli.plan import decide, host_to_reach
from app.db.engine import make_engine
from app.domain.vocabulary import Channel
from app.embedded import places
from app.embedded.guard import Guard
from app.embedded.process import Command, Process, start
from app.errors import ConfigurationError, Refused, Unavailable
from app.gateways.registry import gateways
from app.services.keys import machine_key
from app.settings import Settings

# A machine that sees Tocsin for the first time copies servers and makes a database.
_START = timedelta(seconds=120)
_STOP = timedelta(seconds=60)
_LOOK = 0.2  # seconds
_READY = 200

Report = Callable[[str], None]


class NotTheSimulator(Refused):
    """The demonstration would reach real people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """A running system: its API, and the simulator behind it."""

    api: Http
    simulator: Http
    primaries: Mapping[Channel, str]
    """The first gateway of each channel that has more than one."""
    url: str


@contextmanager
def running(report: Report) -> Iterator[System]:
    """Give the system that is up, or start one and stop it afterwards.

    Raises NotTheSimulator, and Unavailable or ConfigurationError where there is none to be had.
    """
    settings = config.load()
    if _is_up(settings):
        yield _found(settings)
        return
    if decide(settings).simulator_url is None:
        raise NotTheSimulator(
            "The demo plays with the simulator alone, which `tocsin up` starts where neither DATABASE_URL "
            "nor a gateway is configured. Unset them, or call the demo from a directory of its own."
        )
    report("nothing runs here, so a system is started for the demo")
    with _started():
        local.adopt()
        yield _found(config.load())


def _is_up(settings: Settings) -> bool:
    return local.of_this_project() is not None or bool(settings.database_url and settings.simulated)


def _found(settings: Settings) -> System:
    """Reach a system that is up, once it is ready."""
    if not settings.simulated or settings.ses_sns_cert_origin is None:
        raise NotTheSimulator(
            "The system that runs here has real gateways; the demo plays with the simulator alone."
        )
    url = _url(settings)
    order = in_order(settings, gateways(settings))
    system = System(
        api=Http(url, key=_key(settings)),
        simulator=Http(settings.ses_sns_cert_origin),
        # Of the gateways for pushes each has tokens of its own, so none stands in for another.
        primaries={
            channel: names[0]
            for channel, names in order.items()
            if len(names) > 1 and channel is not Channel.PUSH
        },
        url=url,
    )
    _wait(lambda: _is_ready(system), f"The system at {url} is not ready; `{url}/readyz` says why.")
    return system


def _url(settings: Settings) -> str:
    return f"http://{host_to_reach(settings.host)}:{settings.port}"


def _key(settings: Settings) -> str:
    engine = make_engine(str(settings.database_url), pool=1, name="demo")
    try:
        return machine_key(engine, places.root_of(config.PROJECT, settings.data_dir))
    finally:
        engine.dispose()


def _is_ready(system: System) -> bool:
    try:
        webhooks = system.simulator.get("/_simulator/webhooks")
        return system.api.call("GET", "/readyz").status == _READY and bool(
            webhooks and webhooks["subscribed"]
        )
    except (Unavailable, Unexpected):
        return False


def _wait(condition: Callable[[], bool], otherwise: str) -> None:
    give_up_at = time.monotonic() + _START.total_seconds()
    while not condition():
        if time.monotonic() > give_up_at:
            raise Unavailable(otherwise)
        time.sleep(_LOOK)


@dataclass(frozen=True, kw_only=True)
class _Child:
    """`tocsin up` as a child; its last words are kept."""

    process: Process
    words: deque[str] = field(default_factory=lambda: deque(maxlen=20))

    def listen(self) -> Thread:
        """Keep on reading what it prints, so that it never has to wait for us."""
        thread = Thread(target=self._read, name="lines of up", daemon=True)
        thread.start()
        return thread

    def is_up(self) -> bool:
        """Tell whether it has published what runs; raises ConfigurationError where it has ended."""
        if self.process.ended() is not None:
            said = "\n".join(self.words) or "It said nothing."
            raise ConfigurationError(f"`tocsin up` could not start:\n{said}")
        return local.of_this_project() is not None

    def _read(self) -> None:
        if self.process.lines is None:
            return
        with self.process.lines as lines:
            for line in lines:
                self.words.append(line.decode(errors="replace").rstrip())


@contextmanager
def _started() -> Iterator[None]:
    # Where the demo is killed, the guard stops what it started.
    guard = Guard()
    child = _Child(process=start(_command(), guard.environment))
    guard.watch(child.process)
    listener = child.listen()
    try:
        _wait(child.is_up, "`tocsin up` took too long.")
        yield
    finally:
        child.process.stop()
        listener.join()
        guard.forget(child.process)
        guard.close()


def _command() -> Command:
    return Command(
        name="up",
        arguments=(sys.executable, "-P", "-m", "app.cli", "up"),
        directory=config.PROJECT,
        environment={**os.environ, "PYTHONUNBUFFERED": "1"},
        patience=_STOP,
    )
