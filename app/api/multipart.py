"""Uploads of two parts: what is shared as JSON, then the recipients as CSV, read as they stream."""

from collections.abc import Iterator

from werkzeug.exceptions import BadRequest
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from app.errors import Invalid, TooLarge
from app.services.uploads import LONGEST_HEAD

_LONGEST_PART_HEADER = 512 * 1024


def batch_and_rows(chunks: Iterator[bytes], content_type: str) -> tuple[bytes, Iterator[bytes]]:
    """Split the body into its first part, called `batch`, and the pieces of its second.

    Raises Invalid where the parts are others, BadRequest where the body is not complete multipart.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary.isascii() or not 1 <= len(boundary) <= 70:  # noqa: PLR2004 - RFC 2046's limit.
        raise BadRequest("Content-Type needs the boundary of the parts.")
    events = _events(chunks, boundary.encode())
    _expect(events, "batch", 'the first part must be called "batch" and hold the shared fields as JSON')
    return _head(events), _rows(events)


def _head(events: Iterator[Event]) -> bytes:
    head = bytearray()
    for data in _data(events):
        head += data
        if len(head) > LONGEST_HEAD:
            raise TooLarge(f"the part batch may have {LONGEST_HEAD} bytes at most")
    return bytes(head)


def _rows(events: Iterator[Event]) -> Iterator[bytes]:
    _expect(events, None, "a second part must hold the recipients as CSV")
    yield from _data(events)
    for event in events:
        if not isinstance(event, Epilogue):
            raise Invalid.of("body", "must have two parts and no more")


def _expect(events: Iterator[Event], name: str | None, otherwise: str) -> None:
    event = next(events, None)
    if not isinstance(event, Field | File) or (name is not None and event.name != name):
        raise Invalid.of(name or "recipients", otherwise)


def _data(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                return


def _events(chunks: Iterator[bytes], boundary: bytes) -> Iterator[Event]:
    decoder = MultipartDecoder(boundary, max_form_memory_size=_LONGEST_PART_HEADER)
    try:
        for chunk in chunks:
            decoder.receive_data(chunk)
            yield from _ready(decoder)
        decoder.receive_data(None)
        yield from _ready(decoder)
    except ValueError as exc:
        raise BadRequest("The multipart body broke off, or its parts are malformed.") from exc


def _ready(decoder: MultipartDecoder) -> Iterator[Event]:
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            return
        if isinstance(event, Field | File | Data | Epilogue):
            yield event
        if isinstance(event, Epilogue):
            return
