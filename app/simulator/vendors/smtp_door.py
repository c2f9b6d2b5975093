"""A port that speaks SMTP, as far as a client needs it that sends one mail after another."""

import asyncio
import base64
import re
from contextlib import suppress
from typing import Protocol

from app.errors import ConfigurationError
from app.simulator.accounts.smtp import SMTP_PASSWORD, SMTP_USERNAME
from app.simulator.exchange import Ending, Reply, Request
from app.simulator.gateway import GatewayPort

_LARGEST = 50 * 1024 * 1024
_BACKLOG = 1024
_OFFERS = f"250-relay.simulator\r\n250-PIPELINING\r\n250-SIZE {_LARGEST}\r\n250 AUTH PLAIN"
_ADDRESS = re.compile(r"(?:FROM|TO):\s*<([^<>]*)>(.*)", re.IGNORECASE)
_SIZE = re.compile(r"SIZE=([0-9]+)", re.IGNORECASE)
_CREDENTIALS = f"\0{SMTP_USERNAME}\0{SMTP_PASSWORD}".encode()
_UNVERIFIED = "@unverified.example"


class Relay(Protocol):
    """What the door needs to know of the relay behind it."""

    def refuses(self, recipient: str) -> bool:
        """Tell whether a recipient is refused before any mail."""
        ...


class SmtpDoor:
    """Listens; each connection is a conversation of its own."""

    def __init__(self, relay: Relay, gateway: GatewayPort, host: str, port: int) -> None:
        self._relay = relay
        self._gateway = gateway
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._talking: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Listen; raises ConfigurationError where the port is taken."""
        async with self._turn:
            if self._server is not None:
                return
            try:
                self._server = await asyncio.start_server(
                    self._talk, self._host, self._port, limit=_LARGEST, backlog=_BACKLOG
                )
            except OSError as exc:
                raise ConfigurationError(
                    f"The simulator cannot listen on {self._host}:{self._port} ({exc.strerror}); "
                    "choose other ports with --port or SIMULATOR_PORT"
                ) from exc

    async def close(self) -> None:
        """Stop listening and cut what is connected."""
        async with self._turn:
            if self._server is None:
                return
            self._server.close()
            for task, writer in list(self._talking.items()):
                writer.transport.abort()
                task.cancel()
            await asyncio.gather(*self._talking, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talking[task] = writer
        try:
            await _Talk(self._relay, self._gateway, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            if task is not None:
                del self._talking[task]


class _Talk:
    """One connection."""

    def __init__(
        self,
        relay: Relay,
        gateway: GatewayPort,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._relay = relay
        self._gateway = gateway
        self._reader = reader
        self._writer = writer
        self._open = True
        self._let_in = False
        self._sender: str | None = None
        self._recipient: str | None = None

    async def run(self) -> None:
        self._say("220 relay.simulator ESMTP")
        calls = {
            "EHLO": self._hello,
            "AUTH": self._log_in,
            "MAIL": self._from,
            "RCPT": self._to,
            "DATA": self._data,
            "RSET": self._reset,
            "QUIT": self._quit,
        }
        while self._open:
            line = (await self._reader.readuntil(b"\n")).decode("latin-1").strip()
            command, _, rest = line.partition(" ")
            call = calls.get(command.upper())
            if call is None:
                self._say("500 5.5.2 Error: command not recognized")
            else:
                await call(rest)
            await self._writer.drain()

    def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())

    async def _hello(self, _rest: str) -> None:
        self._say(_OFFERS)

    async def _log_in(self, rest: str) -> None:
        _, _, initial = rest.partition(" ")
        if not initial:
            self._say("334 ")
            initial = (await self._reader.readuntil(b"\n")).decode("latin-1")
        given = b""
        with suppress(ValueError):
            given = base64.b64decode(initial.strip())
        self._let_in = given == _CREDENTIALS
        self._say("235 2.7.0 Ok" if self._let_in else "535 5.7.8 Error: authentication failed")

    async def _from(self, rest: str) -> None:
        found = _ADDRESS.fullmatch(rest)
        size = _SIZE.search(found[2]) if found else None
        if not self._let_in:
            self._say("530 5.7.0 Authentication required")
        elif found is None:
            self._say("501 5.5.4 Syntax: MAIL FROM:<address>")
        elif found[1].lower().endswith(_UNVERIFIED):
            self._say("553 5.7.1 Sender address rejected: not owned by user")
        elif size and int(size[1]) > _LARGEST:
            self._say("552 5.3.4 Message size exceeds fixed limit")
        else:
            self._sender, self._recipient = found[1], None
            self._say("250 2.1.0 Ok")

    async def _to(self, rest: str) -> None:
        found = _ADDRESS.fullmatch(rest)
        if self._sender is None:
            self._say("503 5.5.1 Error: need MAIL command")
        elif found is None:
            self._say("501 5.1.3 Bad recipient address syntax")
        elif self._relay.refuses(found[1]):
            await self._answer(await self._gateway.take(self._request("RCPT", found[1], b"")))
        else:
            self._recipient = found[1]
            self._say("250 2.1.5 Ok")

    async def _data(self, _rest: str) -> None:
        if self._recipient is None:
            self._say("554 5.5.1 Error: no valid recipients")
            return
        self._say("354 End data with <CR><LF>.<CR><LF>")
        mail = (await self._reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
        reply = await self._gateway.take(self._request("DATA", self._recipient, mail))
        self._sender = self._recipient = None
        await self._answer(reply)

    async def _reset(self, _rest: str) -> None:
        self._sender = self._recipient = None
        self._say("250 2.0.0 Ok")

    async def _quit(self, _rest: str) -> None:
        self._say("221 2.0.0 Bye")
        self._open = False

    async def _answer(self, reply: Reply) -> None:
        if reply.ending is Ending.CUT:
            self._writer.transport.abort()
            self._open = False
        elif reply.ending is Ending.SILENCE:
            await self._reader.read()
            self._open = False
        elif any(name == "content-type" for name, _ in reply.headers):
            # Something between us and the relay talks of other matters.
            self._writer.write(reply.body + b"\r\n")
        else:
            self._say(f"{reply.status} {reply.body.decode()}")

    def _request(self, method: str, recipient: str, body: bytes) -> Request:
        headers = _Envelope(self._sender or "", recipient)
        return Request(method=method, path="", query="", headers=headers, body=body, host="")


class _Envelope:
    """A mail's envelope, as a request's headers."""

    def __init__(self, sender: str, recipient: str) -> None:
        self._fields = {"mail-from": sender, "rcpt-to": recipient}

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._fields.get(key, default)
