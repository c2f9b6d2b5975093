"""Reading bulk uploads as they stream: NDJSON, CSV, JSON. Nothing is held but one line.

The three give the same rows. A line that cannot be a recipient becomes a Reject and stops nothing; what
makes the whole upload unreadable (no UTF-8, a line beyond all measure, a missing column) raises Invalid.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.services.requests import Reject, Row

LONGEST_HEAD = 2 * 1024 * 1024
LONGEST_LINE = 128 * 1024


def ndjson(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[Row | Reject]]:
    """Split an NDJSON upload into its first line (the shared fields, not parsed) and its rows.

    `chunks` are pieces of the body, cut anywhere. The first line is line 1.
    """
    raise NotImplementedError


def csv_rows(chunks: Iterable[bytes]) -> Iterator[Row | Reject]:
    """Read a CSV part: columns `address`, `id`, `type`; every other column is data, as strings.

    The line with the names is line 1. Empty cells of data columns are left out.
    """
    raise NotImplementedError


def json_rows(recipients: Iterable[Mapping[str, Any]]) -> Iterator[Row | Reject]:
    """Read the parsed `recipients` of a JSON upload; the first is line 1."""
    raise NotImplementedError
