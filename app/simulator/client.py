"""A light HTTP/1.1 client for webhooks: one kept-alive connection, one request at a time."""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_BODILESS = frozenset({204, 304})


class Client(asyncio.Protocol):
    """Sends to one origin. It reads an answer's status and throws the rest away."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._netloc = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._received = b""

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send one request and give the answer's status; OSError where none came."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await loop.create_connection(lambda: self, self._host, self._port, ssl=self._secure or None)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {self._prefix}{path} HTTP/1.1\r\nhost: {self._netloc}\r\n{lines}"
        self._answer = loop.create_future()
        self._received = b""
        if self._transport is None:
            raise ConnectionResetError("closed as soon as it was opened")
        length = f"content-length: {len(body)}\r\n" if body or method != "GET" else ""
        self._transport.write(f"{head}{length}\r\n".encode() + body)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio says what it passes
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        if not end or self._answer is None or self._answer.done():
            return
        if status is None:
            self.close()
            self._answer.set_exception(ConnectionResetError("the answer is not HTTP"))
        elif status[1].startswith(b"1"):
            self._received = body
        else:
            self._finish(int(status[1]), head, body, self._answer)

    def _finish(self, status: int, head: bytes, body: bytes, answer: "asyncio.Future[int]") -> None:
        length = _LENGTH.search(head)
        if length is None and status not in _BODILESS:
            self.close()  # Its end cannot be told from the length, so the connection is of no more use.
        elif length is not None and len(body) < int(length[1]):
            return
        elif _CLOSE.search(head):
            self.close()
        answer.set_result(status)
