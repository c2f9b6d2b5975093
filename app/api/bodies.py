"""Reading request bodies: bounded, within a time, and complete or not at all."""

import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import IO, Any, cast

from werkzeug.exceptions import BadRequest, LengthRequired, UnsupportedMediaType

from app.api.problems import Kind
from app.api.server import CUT, Patience
from app.errors import TooLarge

WHOLE_WITHIN = timedelta(seconds=10)
# A read returns when a chunk is full, so this asks an upload for two kilobytes a second.
CHUNK_WITHIN = timedelta(seconds=30)
DRAINED_WITHIN = timedelta(seconds=2)
CHUNK = 64 * 1024
LARGEST_UPLOAD = 4 * 1024**3
# Lists of recipients shrink to a tenth; what grows more than this is made to grow.
_STEEPEST = 200
_FREE = 4 * 1024**2
_DRAINED = 32 * 1024**2
_BEGUN = "tocsin.begun"
_GZIP = 31
_PART = 4 * CHUNK
_NO_BODY = b""

Environ = dict[str, Any]


def media_type(environ: Environ) -> str:
    """Give the body's media type in lower case, without parameters."""
    return str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def whole(environ: Environ, limit: int, patience: Patience) -> bytes:
    """Read the body into memory; raises TooLarge, before reading where its length was told."""
    length = _length(environ)
    if length is None and "HTTP_TRANSFER_ENCODING" not in environ:
        return _NO_BODY
    if length is not None and length > limit:
        raise TooLarge(f"the body may have {limit} bytes at most")
    body = _read(environ, limit + 1 if length is None else length, WHOLE_WITHIN, patience)
    if len(body) > limit:
        raise TooLarge(f"the body may have {limit} bytes at most")
    if length is not None and len(body) < length:
        raise BadRequest("The body ended before its length was reached.")
    return body


def chunks(environ: Environ, patience: Patience, digest: Callable[[bytes], object]) -> Iterator[bytes]:
    """Give the body in pieces, as it comes and decoded; `digest` sees each piece as it came.

    Raises BadRequest in place of the end where the body is not complete, and TooLarge.
    """
    encoding = str(environ.get("HTTP_CONTENT_ENCODING", "identity")).strip().lower()
    raw = _raw(environ, patience, digest)
    if encoding == "identity":
        return _bounded(raw)
    if encoding in ("gzip", "x-gzip"):
        return _bounded(_unzipped(raw))
    raise UnsupportedMediaType("Content-Encoding may be gzip or identity.")


def require_known_end(environ: Environ) -> None:
    """Refuse bodies whose cut-off end would look like the end: raises LengthRequired.

    The server tells an application nothing about a chunked body that breaks off.
    """
    zipped = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() in ("gzip", "x-gzip")
    if _length(environ) is None and not zipped:
        raise LengthRequired("Send Content-Length, or the body as gzip or multipart, whose ends show.")


def require_plain(environ: Environ) -> None:
    """Refuse an encoded body where none is taken; raises UnsupportedMediaType."""
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding is taken for uploads only.")


def drain(environ: Environ, patience: Patience, kind: Kind) -> None:
    """Take the rest of a body that nobody wants, so that its sender gets to read the answer.

    A connection that is closed with unread bytes is reset, and many clients then show the reset alone.
    Bodies beyond all measure are not taken, nor those that have not begun because their sender waits to
    be asked for them.
    """
    waits = "100-continue" in environ.get("HTTP_EXPECT", "").lower() and not environ.get(_BEGUN)
    if waits or (_length(environ) is None and "HTTP_TRANSFER_ENCODING" not in environ):
        return
    deadline = time.monotonic() + DRAINED_WITHIN.total_seconds()
    with patience.wait(DRAINED_WITHIN, environ.get(CUT), kind):
        for _ in range(_DRAINED // CHUNK):
            if not environ["wsgi.input"].read(CHUNK) or time.monotonic() > deadline:
                return


def _length(environ: Environ) -> int | None:
    text = environ.get("CONTENT_LENGTH") or ""
    return int(text) if text.isdecimal() and text.isascii() else None


def _raw(environ: Environ, patience: Patience, digest: Callable[[bytes], object]) -> Iterator[bytes]:
    length = _length(environ)
    if length is not None and length > LARGEST_UPLOAD:
        raise TooLarge(f"an upload may have {LARGEST_UPLOAD} bytes at most")
    came = 0
    while length is None or came < length:
        size = CHUNK if length is None else min(CHUNK, length - came)
        piece = _read(environ, size, CHUNK_WITHIN, patience)
        if not piece:
            break
        came += len(piece)
        digest(piece)
        yield piece
    if length is not None and came < length:
        raise BadRequest("The upload broke off before its end. Nothing of it was kept; send it again.")


def _read(environ: Environ, size: int, within: timedelta, patience: Patience) -> bytes:
    stream = cast("IO[bytes]", environ["wsgi.input"])
    environ[_BEGUN] = True
    with patience.wait(within, environ.get(CUT)):
        return stream.read(size)


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    came = 0
    for piece in pieces:
        came += len(piece)
        if came > LARGEST_UPLOAD:
            raise TooLarge(f"an upload may have {LARGEST_UPLOAD} bytes at most")
        yield piece


def _unzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(_GZIP)
    taken = given = 0
    for piece in pieces:
        taken += len(piece)
        for part in _inflated(inflate, piece):
            given += len(part)
            if given > _FREE + taken * _STEEPEST:
                raise TooLarge(f"the upload grows to more than {_STEEPEST} times its size when decoded")
            yield part
        if inflate.unused_data:
            raise BadRequest("Something follows the compressed upload.")
    if taken and not inflate.eof:
        raise BadRequest("The compressed upload broke off before its end. Nothing of it was kept.")


def _inflated(inflate: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    """Decode a piece in parts of bounded size, until nothing of it is left inside or outside."""
    try:
        part = inflate.decompress(data, _PART)
        while part:
            yield part
            part = inflate.decompress(inflate.unconsumed_tail, _PART)
    except zlib.error as exc:
        raise BadRequest("The body is not what Content-Encoding says: it cannot be decompressed.") from exc
