"""A steady flow of single messages, as other modules send them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.calling import Caller, message


@dataclass
class Singles:
    """Sends single messages at a steady pace, and keeps what it was told."""

    caller: Caller
    per_second: float
    uuids: list[str] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until stopped: codes mostly, an alert or an emergency among them."""
        due = time.monotonic()
        while not self._stopped.wait(max(due - time.monotonic(), 0)):
            number = len(self.uuids)
            priority = "P0" if number % 10 == 0 else "P1" if number % 5 == 0 else "P4"
            answer = self.caller.insist(message(priority, f"reader{number}@single.example.com"))
            self.uuids.append(answer["uuid"])
            due = max(due + 1 / self.per_second, time.monotonic() - 1)

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()


@contextmanager
def singles(port: int, key: str, per_second: float) -> Iterator[Singles]:
    """Send single messages beside the block."""
    sent = Singles(Caller(port, key), per_second)
    thread = threading.Thread(target=sent.run, name="singles")
    thread.start()
    try:
        yield sent
    finally:
        sent.stop()
        thread.join()
