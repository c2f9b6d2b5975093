"""How values are written on the command line: times, durations, data, files."""

import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

E = TypeVar("E", bound=StrEnum)

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """A number with its unit, as in 30s, 15m, 24h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is no duration, as in 30s, 15m, 24h or 7d.", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Moment(click.ParamType[datetime]):
    """A time with its offset, as in 2027-01-31T09:00:00+01:00, or one from now on, as in +15m."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if value.startswith("+"):
            return datetime.now(UTC) + Duration().convert(value[1:], param, ctx)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time, as in 2027-01-31T09:00:00+01:00 or +15m.", param, ctx)
        # A time without offset is the one on the clock beside the terminal.
        return moment if moment.tzinfo else moment.astimezone()


class Content(click.ParamType[str]):
    """A text, or with @ in front the name of a file that holds it."""

    name = "text|@file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith("@"):
            return str(value)
        try:
            return text_of(value[1:])
        except (OSError, UnicodeDecodeError) as exc:
            self.fail(f"{value[1:]} cannot be read: {_reason(exc)}.", param, ctx)


class OneOf(click.ParamType[StrEnum]):
    """One word of an enumeration."""

    def __init__(self, kind: type[E]) -> None:
        self._kind = kind
        self.name = "|".join(kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> StrEnum:
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"{value!r} is none of {', '.join(self._kind)}.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature.
        return f"[{self.name}]"


def data_of(given: Iterable[str]) -> dict[str, Any]:
    """Gather `name=text`, `name:=json` and `@file.json`; later ones win. Raises BadParameter."""
    gathered: dict[str, Any] = {}
    for item in given:
        gathered |= _one(item)
    return gathered


def data_option(help_: str) -> Callable[[Any], Any]:
    """Make the option --data, which may be given many times."""
    return click.option(
        "--data", "-d", multiple=True, metavar="NAME=TEXT|NAME:=JSON|@FILE", help=f"{help_}; repeatable."
    )


def object_of(text: str, what: str) -> dict[str, Any]:
    """Read a JSON object; raises BadParameter that says what should have been one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise click.BadParameter(f"{what} is no JSON: {exc.msg} ({where}).") from exc
    if not isinstance(value, dict):
        raise click.BadParameter(f'{what} must be a JSON object, as in {{"name": "Anna"}}.')
    return value


def text_of(name: str) -> str:
    """Read a file whole, or standard input where it is called `-`; raises OSError, UnicodeDecodeError."""
    return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")


def _one(item: str) -> dict[str, Any]:
    if item.startswith("@"):
        return object_of(Content().convert(item, None, None), item[1:])
    name, equals, value = item.partition("=")
    if not equals or not name.strip(":"):
        raise click.BadParameter(f"--data {item!r}: give NAME=TEXT, NAME:=JSON or @FILE.")
    if not name.endswith(":"):
        return {name: value}
    try:
        return {name[:-1]: orjson.loads(value)}
    except orjson.JSONDecodeError as exc:
        raise click.BadParameter(f"--data {name[:-1]}: {value!r} is no JSON.") from exc


def _reason(error: Exception) -> str:
    return (
        "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else str(getattr(error, "strerror", error))
    )
