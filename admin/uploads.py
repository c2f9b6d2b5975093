"""Files that people hand to the console: read in pieces, never held on disk by name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from flask import request
from werkzeug.datastructures import FileStorage

from app.errors import Invalid

_CHUNK = 64 * 1024


def require_file(field: str) -> None:
    """Raise Invalid where a form has no file."""
    file = request.files.get(field)
    if file is None or not file.filename:
        raise Invalid.of(field, "Choose a file.")


@contextmanager
def given_file(field: str) -> Iterator[FileStorage]:
    """Give the file of a form, which is closed after; raises Invalid where none was chosen."""
    require_file(field)
    with closing(request.files[field]) as file:
        yield file


def chunks(file: FileStorage) -> Iterator[bytes]:
    """Give a file in pieces."""
    while piece := file.stream.read(_CHUNK):
        yield piece
