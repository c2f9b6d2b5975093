"""Around every request: its id, its line in the log, its count, and the headers of every answer."""

import random
import re
import time
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import structlog

from app.api.calls import CLIENT, REQUEST_ID, ROUTE
from app.services.metrics import count_request

log = structlog.get_logger(__name__)

UNKNOWN_ROUTE = "unknown"

_SANE = re.compile(r"[A-Za-z0-9._:-]{8,100}")
_SERVER_ERROR = 500
_REFUSED = 400
# Requests that went well are counted; a line each would bury the ones that matter.
_SLOW = 1.0  # seconds
_HEADERS = (
    # Instead of the server's own name.
    ("Server", ""),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_UNLESS_SET = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)


class Observed:
    """A WSGI application around another one."""

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        request_id = environ[REQUEST_ID] = _request_id(environ)
        # The thread has served others before.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        came = _SERVER_ERROR

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal came
            came = int(status[:3])
            return start_response(status, _completed(headers, request_id), exc_info)

        try:
            return self._inner(environ, start)
        finally:
            _tell(environ, came, time.perf_counter() - started)


def _request_id(environ: dict[str, Any]) -> str:
    given = str(environ.get("HTTP_X_REQUEST_ID", ""))
    if _SANE.fullmatch(given):
        return given
    # A name, no secret: asking the system for each would hand the interpreter to another thread.
    return f"{random.getrandbits(96):024x}"


def _completed(headers: list[tuple[str, str]], request_id: str) -> list[tuple[str, str]]:
    present = {name.lower() for name, _ in headers}
    missing = [header for header in _UNLESS_SET if header[0].lower() not in present]
    return [*headers, *_HEADERS, *missing, ("X-Request-Id", request_id)]


def _tell(environ: dict[str, Any], status: int, seconds: float) -> None:
    route = environ.get(ROUTE, UNKNOWN_ROUTE)
    count_request(route, status)
    say = log.info if status >= _REFUSED or seconds >= _SLOW else log.debug
    say(
        "request",
        method=environ["REQUEST_METHOD"],
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        client=environ.get(CLIENT),
    )
