"""The HTTP server: granian around a WSGI application, with an end to bodies that do not come.

granian streams bodies, but waits for them for ever, and an application cannot stop waiting. So its
adapter between Rust and WSGI is replaced here by one that can answer over the application's head: hyper
then closes the connection, and the thread that waited for the body gets its end. While at it, requests no
longer carry the process's environment with them, nor go out in two packets.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

import granian.server.mp
import orjson
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from app.api import problems
from app.api.problems import Kind

CUT = "tocsin.cut"
Cut = Callable[[Kind], None]

_EVERY = timedelta(seconds=0.25)
_TO_STOP = timedelta(seconds=5)
_HEADERS_WITHIN = timedelta(seconds=10)
_LONGEST_HEAD = 64 * 1024
_WHOLE = 256 * 1024
# How long a thread keeps the interpreter while others wait. A request goes through it some ten times, so
# Python's own 5 ms made a single message wait for 50 behind uploads and webhooks.
_TURN = timedelta(microseconds=500)

_CONSTANT = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class _Exchange(Protocol):
    """granian's side of one request: the first answer given goes out, later ones go nowhere."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Iterator[bytes]) -> None: ...


@dataclass(slots=True)
class _Answer:
    status: int = 500
    headers: list[tuple[str, str]] = field(default_factory=list)

    def start(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
        self.status, self.headers = int(status[:3]), headers

    @property
    def whole(self) -> bool:
        """Tell whether the body's length is known and small, so that one packet carries it all."""
        length = next((value for name, value in self.headers if name.lower() == "content-length"), None)
        return length is not None and int(length) <= _WHOLE


class _Stream:
    """A body as granian iterates it: `__next__` and `close` on one object."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._iterator = iter(chunks)
        self.close = getattr(chunks, "close", lambda: None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)


class Patience:
    """Ends requests whose bodies are waited for longer than their time."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[float, Cut, Kind]] = {}
        threading.Thread(target=self._watch, name="patience", daemon=True).start()

    @contextmanager
    def wait(self, longest: timedelta, cut: Cut | None, kind: Kind = problems.TIMED_OUT) -> Iterator[None]:
        """Have the request answered with `kind` once the block has run longer than `longest`."""
        if cut is None:
            yield
            return
        thread = threading.get_ident()
        self._waiting[thread] = (time.monotonic() + longest.total_seconds(), cut, kind)
        try:
            yield
        finally:
            del self._waiting[thread]

    def _watch(self) -> None:
        while True:
            time.sleep(_EVERY.total_seconds())
            now = time.monotonic()
            for until, cut, kind in list(self._waiting.values()):
                if until < now:
                    cut(kind)


def serve(make: Callable[[], WSGIApplication], host: str, port: int, *, threads: int) -> None:
    """Serve the application that `make` builds in the serving process, until SIGTERM or SIGINT.

    Requests that run when the signal comes are finished, within five seconds.
    """
    granian.server.mp._wsgi_call_wrap = _adapter  # type: ignore[assignment,attr-defined] # noqa: SLF001 - See above.
    alive, held = os.pipe()

    def load(_target: str | None = None) -> WSGIApplication:
        os.close(held)
        sys.setswitchinterval(_TURN.total_seconds())
        threading.Thread(target=_end_with, args=(alive,), name="parent", daemon=True).start()
        return make()

    granian.server.mp.MPServer(
        "tocsin",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        blocking_threads=threads,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(_HEADERS_WITHIN.total_seconds() * 1000), max_buffer_size=_LONGEST_HEAD
        ),
        workers_kill_timeout=int(_TO_STOP.total_seconds()),
        log_enabled=False,
    ).serve(target_loader=load, wrap_loader=False)


def _end_with(alive: int) -> None:
    """End this process when the one that started it is gone, however it went."""
    os.read(alive, 1)
    os._exit(1)


def _adapter(
    application: WSGIApplication, _options: dict[str, Any], _access_log: str | None = None
) -> Callable[[_Exchange, dict[str, Any]], int]:
    def handle(exchange: _Exchange, scope: dict[str, Any]) -> int:
        environ = _CONSTANT | scope
        environ[CUT] = partial(_cut, exchange)
        answer = _Answer()
        stream = _Stream(application(environ, answer.start))  # type: ignore[arg-type]
        if answer.whole:
            exchange.response_bytes(answer.status, answer.headers, b"".join(stream))
            stream.close()
        else:
            exchange.response_iter(answer.status, answer.headers, stream)
        return answer.status

    return handle


def _cut(exchange: _Exchange, kind: Kind) -> None:
    headers = [("content-type", problems.MEDIA_TYPE), ("connection", "close"), ("server", "")]
    body = problems.content(kind, kind.advice, None)
    exchange.response_bytes(kind.status, headers, orjson.dumps(body))
