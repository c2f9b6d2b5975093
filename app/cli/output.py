"""What commands print: tables for people, JSON for programs."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import click
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_FOR_FILES = 200  # columns
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: object) -> None:
    """Print a value as JSON: dataclasses as objects, durations as seconds, times with their offset."""
    click.echo(orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "none") -> None:
    """Print rows under their columns; `empty` is said where there is none."""
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(cell, row))
    if table.row_count:
        console().print(table)
    else:
        click.echo(empty)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values below each other; what has no value is left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields:
        if value not in (None, "", {}, ()):
            table.add_row(Text(name, style="dim"), cell(value))
    console().print(table)


def console() -> Console:
    """Write to standard output; in files and pipes lines are long enough for a whole table."""
    return Console(width=None if sys.stdout.isatty() else _FOR_FILES, highlight=False, soft_wrap=False)


def cell(value: object) -> Text:
    """Spell a value for a table, without anything in it that a terminal would obey."""
    return Text("".join(char if char.isprintable() or char == "\n" else "�" for char in spelled(value)))


def spelled(value: object) -> str:
    """Spell a value for people."""
    for kinds, spell in _SPELLINGS:
        if isinstance(value, kinds):
            return spell(value)
    return str(value)


def duration(value: timedelta) -> str:
    """Spell a duration in the unit that people would take."""
    seconds = value.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    unit, length = ("h", _HOUR) if seconds < _DAY else ("d", _DAY)
    return f"{round(seconds / length, 1):g} {unit}"


_SPELLINGS: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (type(None), lambda _: "-"),
    (bool, lambda value: "yes" if value else "no"),
    (datetime, lambda value: value.astimezone().strftime("%Y-%m-%d %H:%M:%S")),
    (timedelta, duration),
    ((tuple, list, frozenset, set), lambda value: ", ".join(map(spelled, value))),
    (dict, lambda value: orjson.dumps(value, default=_plain).decode()),
)


def _plain(value: object) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(type(value).__name__)
