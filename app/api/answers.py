"""Making answers: JSON out of what the services give."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import timedelta
from itertools import chain
from typing import Any

import orjson
import structlog
from flask import Response

from app.api import problems

log = structlog.get_logger(__name__)

NDJSON = "application/x-ndjson"


def answer(status: int, body: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON; dataclasses, times, enums and UUIDs become what one expects, durations seconds."""
    return Response(orjson.dumps(body, default=_plain), status, headers, mimetype="application/json")


def members(view: Any) -> dict[str, Any]:
    """Give a dataclass's fields by name, so that more can be put beside them."""
    return {field.name: getattr(view, field.name) for field in fields(view)}


def empty() -> Response:
    """Answer that it is done and that there is nothing to say."""
    return Response(status=204)


def lines(pieces: Iterable[bytes], request_id: str, filename: str) -> Response:
    """Answer with NDJSON as it comes.

    What fails before the first piece is answered as ever. What fails later can only be told in the
    stream: its last line is then a problem, under the name `error`.
    """
    iterator = iter(pieces)
    first = next(iterator, b"")
    headers = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(_told(chain([first], iterator), request_id), 200, headers, mimetype=NDJSON)


def _told(pieces: Iterator[bytes], request_id: str) -> Iterator[bytes]:
    try:
        yield from pieces
    except Exception as exc:
        log.exception("stream broke off", request_id=request_id)
        kind = problems.kind_of(exc)
        yield orjson.dumps({"error": problems.content(kind, kind.advice, request_id)}) + b"\n"


def pages(read: Callable[[str | None], Any]) -> Iterator[bytes]:
    """Give all items of a list that is read page by page, one JSON line each."""
    cursor: str | None = None
    while True:
        page = read(cursor)
        if page.items:
            yield b"".join(orjson.dumps(item, default=_plain) + b"\n" for item in page.items)
        cursor = page.next
        if cursor is None:
            return


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(type(value).__name__)
