"""Reading bulk uploads as they stream: NDJSON, CSV, JSON. Nothing is held but one line.

The three give the same rows. A line that cannot be a recipient becomes a Reject and stops nothing; what
makes the whole upload unreadable (no UTF-8, a line beyond all measure, a missing column) raises Invalid.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from app.errors import Invalid
from app.services.requests import Reject, Row

LONGEST_HEAD = 16 * 1024 * 1024
LONGEST_LINE = 128 * 1024

_FIELDS = {"address", "id", "type", "data"}
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_BOM = b"\xef\xbb\xbf"


def ndjson(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[Row | Reject]]:
    """Split an NDJSON upload into its first line (the shared fields, not parsed) and its rows.

    `chunks` are pieces of the body, cut anywhere. The first line is line 1.
    """
    lines = ndjson_lines(chunks)
    _, head = next(lines, (1, b""))
    return head.removeprefix(_BOM), (_ndjson_row(number, line) for number, line in lines)


def ndjson_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not blank with their numbers; only the first may exceed LONGEST_LINE."""
    for number, line in enumerate(split_lines(chunks, LONGEST_HEAD), start=1):
        if number > 1 and len(line) > LONGEST_LINE:
            raise _too_long(number)
        if line.strip():
            yield number, line


def csv_rows(
    chunks: Iterable[bytes], names: Mapping[str, str] | None = None, *, delimiter: str = ","
) -> Iterator[Row | Reject]:
    """Read a CSV part: columns `address`, `id`, `type`; every other column is data, as strings.

    The line with the names is line 1. Empty cells of data columns are left out. `names` says what the
    columns are instead of what they are called, one of them `address`; a column that it lacks is left out.
    """
    required = "address" if names is None else next(each for each in names if names[each] == "address")
    for line, cells in csv_records(chunks, required=required, delimiter=delimiter):
        if isinstance(cells, Reject):
            yield cells
        elif names is None:
            yield _csv_row(line, cells)
        else:
            yield _csv_row(line, {names[each]: cell for each, cell in cells.items() if each in names})


def csv_names(chunks: Iterable[bytes], *, delimiter: str = ",") -> list[str]:
    """Read the names of the columns; raises Invalid where a name is missing or comes twice."""
    return _column_names(csv.reader(_text(chunks), strict=True, delimiter=delimiter), None)


def csv_records(
    chunks: Iterable[bytes], *, required: str, delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str] | Reject]]:
    """Read CSV by column name, with the line where each record begins; empty cells are left out.

    A record with another number of cells than there are columns is a Reject. Raises Invalid where the
    line with the names lacks `required` or names a column twice.
    """
    reader = csv.reader(_text(chunks), strict=True, delimiter=delimiter)
    names = _column_names(reader, required)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            # The reader goes on with the line after. A quote never closed has taken in some by then.
            yield line, Reject(line, f"is no CSV up to line {reader.line_num}: {exc}")
            continue
        if len(cells) == len(names):
            yield line, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
        elif cells:
            yield line, Reject(line, f"has {len(cells)} cells where there are {len(names)} columns")


def json_rows(recipients: Iterable[Mapping[str, Any]]) -> Iterator[Row | Reject]:
    """Read the parsed `recipients` of a JSON upload; the first is line 1."""
    for line, given in enumerate(recipients, start=1):
        yield _row(line, given)


def split_lines(chunks: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """Cut a body into lines without their ends; raises Invalid for one longer than `longest` bytes."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        yield from lines
        if len(rest) > longest:
            raise _too_long(None)
    if rest:
        yield rest


def _ndjson_row(line: int, text: bytes) -> Row | Reject:
    try:
        given = orjson.loads(text)
    except ValueError:
        return Reject(line, "is no JSON")
    return _row(line, given)


def _row(line: int, given: Any) -> Row | Reject:
    if type(given) is not dict:
        return Reject(line, 'must be an object, as in {"address": "name@example.com"}')
    get: Callable[[str], Any] = given.get
    row = Row(line, get("address"), get("id"), get("type"), get("data"))
    fault = _fault(row)
    if fault is None and given.keys() <= _FIELDS:
        return row
    return Reject(line, fault or "only has address, id, type and data; what a template needs goes into data")


def _fault(row: Row) -> str | None:
    """Say what is of the wrong type. Exact types, as JSON has them: a boolean is no number."""
    if type(row.address) is not str:
        return "address: is missing" if row.address is None else "address: must be a string"
    if row.id is not None and type(row.id) is not int:
        return "id: must be a whole number"
    if row.type is not None and type(row.type) is not str:
        return "type: must be a string"
    if row.data is not None and type(row.data) is not dict:
        return "data: must be an object"
    return None


def _csv_row(line: int, cells: dict[str, str]) -> Row | Reject:
    number = cells.pop("id", None)
    if number is not None and not _NUMBER.fullmatch(number):
        return Reject(line, "id: must be a whole number")
    address = cells.pop("address", "")
    return Row(line, address, int(number) if number else None, cells.pop("type", None), cells or None)


def _column_names(reader: Iterator[list[str]], required: str | None) -> list[str]:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as exc:
        raise Invalid.of("recipients", f"line 1 is no CSV: {exc}") from exc
    if not names:
        raise Invalid.of("recipients", "is empty; the first line must name the columns")
    if required is not None and required not in names:
        raise Invalid.of("recipients", f"the first line must name the columns, {required} among them")
    if len(set(names)) < len(names) or "" in names:
        raise Invalid.of("recipients", "the first line names a column twice, or leaves one without a name")
    return names


def _text(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode a body line by line; line ends stay, since a quoted cell may hold some."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    for number, line in enumerate(split_lines(chunks, LONGEST_LINE), start=1):
        if len(line) > LONGEST_LINE:
            raise _too_long(number)
        try:
            text = decode(line.removeprefix(_BOM) if number == 1 else line)
        except UnicodeDecodeError as exc:
            raise Invalid.of("recipients", f"line {number} is no UTF-8") from exc
        yield text + "\n"


def _too_long(number: int | None) -> Invalid:
    where = f"line {number}" if number else "a line"
    return Invalid.of("recipients", f"{where} is longer than {LONGEST_LINE} bytes")
