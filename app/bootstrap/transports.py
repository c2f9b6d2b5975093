"""The transports of a process whose threads each have requests to send."""

import threading

from app.gateways.transport import Places, Transport


class ThreadTransports:
    """Gives each thread a transport of its own, made when it first asks."""

    def __init__(self, *, concurrency: int, places: Places | None = None) -> None:
        self._concurrency = concurrency
        self._places = places
        self._local = threading.local()

    def __call__(self) -> Transport:
        if not hasattr(self._local, "transport"):
            self._local.transport = Transport(concurrency=self._concurrency, places=self._places)
        transport: Transport = self._local.transport
        return transport
