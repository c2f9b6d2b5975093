"""What a bench tells the simulated gateways, and asks them."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """The control port of a simulator on this machine."""

    port: int

    def control(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Ask or tell the simulator something."""
        with self._open(path, method, body) as answer:
            return orjson.loads(answer.read() or b"null")

    def accepted(self, gateway: str | None = None) -> int:
        """Count the messages that the gateways, or one of them, have taken."""
        counts = self.control("counts")
        if gateway is None:
            return int(counts["accepted"])
        known = counts["gateways"].get(gateway, {"accepted": {}})
        return sum(known["accepted"].values())

    def entries(self) -> Iterator[dict[str, Any]]:
        """Give every acceptance in the order they came."""
        with self._open("accepted", "GET", None) as answer:
            for line in answer:
                yield orjson.loads(line)

    def found(self, uuid: UUID | str) -> list[dict[str, Any]]:
        """Give the acceptances of one message."""
        return list(self.control(f"messages?uuid={uuid}")["messages"])

    def forget(self) -> None:
        """Count from nothing again."""
        self.control("messages", method="DELETE")

    def fail(self, gateway: str, mode: str, *, share: float = 1.0) -> None:
        """Let a gateway, or a share of its requests, fail until `mend`."""
        self.control("faults", method="POST", body={"gateway": gateway, "mode": mode, "share": share})

    def mend(self) -> None:
        """End all faults."""
        self.control("faults", method="DELETE")

    def slow_down(self, latency: timedelta) -> None:
        """Let every answer take so long."""
        milliseconds = latency / timedelta(milliseconds=1)
        self.control("latency", method="POST", body={"milliseconds": milliseconds})

    def told(self) -> dict[str, Any]:
        """Tell what came of the webhooks."""
        tally: dict[str, Any] = self.control("webhooks")
        return tally

    def _open(self, path: str, method: str, body: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_simulator/{path}",
            method=method,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=60)  # noqa: S310 - The address is our own.
