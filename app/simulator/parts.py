"""What a running simulator gives the double of a vendor to be made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from app.simulator.exchange import Vendor
from app.simulator.gateway import GatewayPort
from app.simulator.listener import Door
from app.simulator.register import Register
from app.simulator.sns import Topic


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the doubles of one simulator share, and where this one listens.

    `folder` is where signing keys are kept, None where they are not. Each number of `serials` comes
    once, over restarts too. `url` is the double's own origin, `control` that of the control port.
    `target` is the origin that webhooks go to, None where none are sent.
    """

    folder: Path | None
    serials: Iterator[int]
    register: Register
    topic: Topic
    url: str
    control: str
    target: str | None


class Double(Protocol):
    """The class of a vendor's double."""

    @classmethod
    def made(cls, parts: Parts) -> Vendor:
        """Make the double of a simulator."""
        ...


@runtime_checkable
class OwnDoor(Protocol):
    """A vendor whose gateway speaks no HTTP, and so serves its port itself."""

    def door(self, gateway: GatewayPort, host: str, port: int) -> Door:
        """Make the door; what comes in by it goes through `gateway.take`, for faults and counts."""
        ...
