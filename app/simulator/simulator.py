"""The simulator as a whole: its ports, its keys, its webhooks, from start to stop."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal

from app.simulator.account import Account
from app.simulator.control import Control
from app.simulator.environment import ACCOUNTS, GATEWAYS, HOST, origin, port_of
from app.simulator.exchange import Vendor
from app.simulator.faults import Faults
from app.simulator.gateway import GatewayPort
from app.simulator.keys import signing_key
from app.simulator.listener import Door, Listener
from app.simulator.parts import Double, OwnDoor, Parts
from app.simulator.register import Register
from app.simulator.sender import Delivery, Sender
from app.simulator.sns import PATH, Topic

_ASK_FIRST = timedelta(milliseconds=500)
_ASK_AT_LEAST = timedelta(seconds=4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a simulator is to run.

    `port` is the base port, each gateway has one of those after it. `delivery` is None where no
    webhooks are to be sent. `folder` keeps the signing keys over restarts, `journal` the acceptances.
    `subscribed` takes the SNS subscription for confirmed from the start.
    """

    port: int = 8001
    delivery: Delivery | None = None
    journal: Path | None = None
    folder: Path | None = None
    latency: timedelta = timedelta(0)
    slow: timedelta = timedelta(seconds=3)
    sns_signature: Literal["1", "2"] = "1"
    subscribed: bool = False
    seed: int | None = None


def double_of(account: Account) -> type[Double]:
    """Load the class of an account's double."""
    double: type[Double] = resolve_name(account.double)
    return double


class Simulator:
    """One simulator; `serve` runs it until it is cancelled."""

    def __init__(self, options: Options, now: datetime) -> None:
        self._options = options
        self._register = Register(options.journal)
        self._faults = Faults(dict.fromkeys(GATEWAYS, options.latency))
        self._dice = random.Random(options.seed)  # noqa: S311 - it decides about duplicates and order
        self._sender = Sender(options.delivery, self._dice) if options.delivery else None
        self._topic = self._make_topic(now)
        # Microseconds since 1970 grow faster than messages come, so no id is given twice over restarts.
        serials = itertools.count(int(now.timestamp() * 1_000_000))
        vendors = {account.name: self._vendor(account, serials) for account in ACCOUNTS}
        self._doors = {
            name: self._door(vendor, port_of(name, options.port)) for name, vendor in vendors.items()
        }
        control = Control(
            register=self._register,
            faults=self._faults,
            vendors=vendors,
            doors=self._doors,
            topic=self._topic,
            sender=self._sender,
        )
        self._control = Listener(control, HOST, options.port)

    async def serve(self, started: Callable[[], None]) -> None:
        """Open all ports, call `started`, and stay until cancelled; then close everything.

        Raises ConfigurationError where a port is taken.
        """
        doors: list[Door] = [*self._doors.values(), self._control]
        try:
            await asyncio.gather(*(door.open() for door in doors))
            started()
            await self._tell()
        finally:
            await asyncio.gather(*(door.close() for door in doors))
            self._register.close()

    def _make_topic(self, now: datetime) -> Topic:
        key = signing_key("sns", self._options.folder)
        topic = Topic(key, origin(self._options.port), now, self._options.sns_signature)
        topic.confirmed = self._options.subscribed
        return topic

    def _vendor(self, account: Account, serials: Iterator[int]) -> Vendor:
        port = self._options.port
        return double_of(account).made(
            Parts(
                folder=self._options.folder,
                serials=serials,
                register=self._register,
                topic=self._topic,
                url=origin(port_of(account.name, port)),
                control=origin(port),
                target=self._options.delivery.target if self._options.delivery else None,
            )
        )

    def _door(self, vendor: Vendor, port: int) -> Door:
        gateway = GatewayPort(vendor, self._faults, self._register, self._sender, self._options.slow)
        if isinstance(vendor, OwnDoor):
            return vendor.door(gateway, HOST, port)
        return Listener(gateway, HOST, port)

    async def _tell(self) -> None:
        if self._sender is None:
            await asyncio.Event().wait()
            return
        if not self._topic.confirmed:
            self._sender.hold(PATH)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sender.run())
            tasks.create_task(self._ask_to_subscribe(self._sender))

    async def _ask_to_subscribe(self, sender: Sender) -> None:
        """Ask until somebody confirms: Tocsin may start later than the simulator."""
        wait = _ASK_FIRST
        while not self._topic.confirmed:
            sender.plan([self._topic.confirmation()])
            await asyncio.sleep(wait.total_seconds())
            wait = min(wait * 2, _ASK_AT_LEAST)
