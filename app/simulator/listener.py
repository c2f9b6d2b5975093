"""A port that is really open or really closed, with granian behind it."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from typing import Protocol

from granian.constants import HTTPModes, Interfaces
from granian.net import SocketSpec  # type: ignore[attr-defined]
from granian.rsgi import Scope
from granian.server.embed import Server

from app.errors import ConfigurationError
from app.simulator.connections import cut_all


class Stream(Protocol):
    """An answer given piece by piece."""

    async def send_bytes(self, data: bytes) -> None: ...


class Exchange(Protocol):
    """One request and its answer, as RSGI has it."""

    async def __call__(self) -> bytes: ...
    async def client_disconnect(self) -> None: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Stream: ...


class Door(Protocol):
    """A port that can be opened and closed; both may be called again in either state."""

    async def open(self) -> None:
        """Listen; returns when connections are accepted. ConfigurationError where the port is taken."""
        ...

    async def close(self) -> None:
        """Stop listening and cut what is connected."""
        ...


Application = Callable[[Scope, Exchange], Awaitable[None]]

_PATIENCE = timedelta(seconds=10)
_BACKLOG = 1024


class _Server(Server):
    """granian, but for the socket by which it looks on Linux whether the port is free, and never closes."""

    def _init_shared_socket(self) -> None:
        if sys.platform == "linux":
            self._ssp = SocketSpec(self.bind_addr, self.bind_port, self.backlog)  # type: ignore[assignment]
        else:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]


class Listener:
    """Serves one application on one port of the running event loop, HTTP/1.1 and HTTP/2."""

    def __init__(self, application: Application, host: str, port: int) -> None:
        self._application = application
        self._host = host
        self._port = port
        self._server: Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Listen; returns when connections are accepted. ConfigurationError where the port is taken."""
        async with self._turn:
            if self._server is not None:
                return
            self._claim()
            self._server = _Server(
                self._application,
                address=self._host,
                port=self._port,
                interface=Interfaces.RSGI,
                http=HTTPModes.auto,
                websockets=False,
                backlog=_BACKLOG,
                log_enabled=False,
            )
            self._serving = asyncio.create_task(self._server.serve())
            await self._answers()

    async def close(self) -> None:
        """Stop listening and cut what is connected, so that from now on connecting is refused.

        Raises TimeoutError where the server does not end.
        """
        async with self._turn:
            if self._server is None or self._serving is None:
                return
            self._server.stop()  # type: ignore[no-untyped-call]
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                while not self._serving.done():
                    cut_all(self._port)
                    await asyncio.wait({self._serving}, timeout=0.01)
            self._server = None

    def _claim(self) -> None:
        """Make sure that nobody listens here: granian would share the port with them in silence."""
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                # It does not listen: whoever looks for the port would find it open for a moment.
                probe.bind((self._host, self._port))
            except OSError as exc:
                raise ConfigurationError(
                    f"The simulator cannot listen on {self._host}:{self._port} ({exc.strerror}); "
                    "choose other ports with --port or SIMULATOR_PORT"
                ) from exc

    async def _answers(self) -> None:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            while True:
                try:
                    _, writer = await asyncio.open_connection(self._host, self._port)
                except OSError:
                    await asyncio.sleep(0.005)
                else:
                    writer.close()
                    return
