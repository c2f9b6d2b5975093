"""Faults of whole gateways, on command."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.simulator.recipients import Fate


class FaultMode(StrEnum):
    REFUSE = "refuse"
    ERROR = "error"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    THROTTLE = "throttle"
    LOST = "lost"
    GARBAGE = "garbage"
    SLOW = "slow"


MEANING = {
    FaultMode.REFUSE: "its port is closed and open connections are cut: connecting fails",
    FaultMode.ERROR: "503 (or the status you name), nothing is taken",
    FaultMode.PROXY: "a proxy before it answers 503 (or the status you name) with a page, nothing is taken",
    FaultMode.TIMEOUT: "no answer ever, nothing is taken",
    FaultMode.THROTTLE: "it says too fast, in its own words",
    FaultMode.LOST: "messages are taken, then the connection is cut without an answer",
    FaultMode.GARBAGE: "200 with half a page of nonsense, nothing is taken",
    FaultMode.SLOW: "messages are taken, the answer comes after seconds",
}

_FATE = {
    FaultMode.ERROR: Fate.DOWN,
    FaultMode.PROXY: Fate.DOWN,
    FaultMode.TIMEOUT: Fate.SILENT,
    FaultMode.THROTTLE: Fate.THROTTLED,
    FaultMode.LOST: Fate.LOST,
    FaultMode.GARBAGE: Fate.GARBAGE,
    FaultMode.SLOW: Fate.SLOW,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A fault in force. `until` is None for one that only a command ends.

    `retry_after` is the wait that answers ask for, None where they do not.
    """

    mode: FaultMode
    share: float = 1.0
    until: datetime | None = None
    status: int = 503
    retry_after: timedelta | None = None


class Faults:
    """Which gateway has which fault now, and how long each takes to answer."""

    def __init__(self, gateways: Mapping[str, timedelta]) -> None:
        self._faults: dict[str, Fault] = {}
        self._due = dict.fromkeys(gateways, 0.0)
        self._latency = dict(gateways)

    def begin(self, gateway: str, fault: Fault) -> None:
        self._faults[gateway] = fault
        self._due[gateway] = 0.0

    def end(self, gateway: str) -> None:
        self._faults.pop(gateway, None)

    def of(self, gateway: str, now: datetime) -> Fault | None:
        """Give the fault in force, if any."""
        fault = self._faults.get(gateway)
        if fault is None or (fault.until is not None and now >= fault.until):
            return None
        return fault

    def strikes(self, gateway: str, fault: Fault) -> Fate | None:
        """Tell what this request suffers; of many requests exactly the fault's share suffers it."""
        self._due[gateway] += fault.share
        if self._due[gateway] < 1:
            return None
        self._due[gateway] -= 1
        return _FATE.get(fault.mode)

    def latency(self, gateway: str) -> timedelta:
        return self._latency[gateway]

    def set_latency(self, gateway: str, latency: timedelta) -> None:
        self._latency[gateway] = latency
