"""Files that people hand to the console: read in pieces, never held on disk by name."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from flask import request
from werkzeug.datastructures import FileStorage

from app.errors import Invalid

_CHUNK = 64 * 1024


@contextmanager
def given_file(field: str) -> Iterator[FileStorage]:
    """Give the file of a form, which is closed after; raises Invalid where none was chosen."""
    file = request.files.get(field)
    if file is None:
        raise Invalid.of(field, "Choose a file.")
    with closing(file):
        if not file.filename:
            raise Invalid.of(field, "Choose a file.")
        yield file


def chunks(file: FileStorage) -> Iterator[bytes]:
    """Give a file in pieces."""
    while piece := file.stream.read(_CHUNK):
        yield piece
