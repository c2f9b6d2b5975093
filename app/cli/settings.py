"""`tocsin settings`: every setting, what it is, where it comes from, what it means."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from app import settings as config
from app.cli import local
from app.cli.output import json_option, print_json, print_table
from app.domain.lanes import LANES
from app.domain.vocabulary import Priority
from app.settings import LaneSettings, Settings

_MASK = "********"
# A password inside an address: after the user's name, or in the query.
_PASSWORD = re.compile(r"(?<=:)[^:/@?#]+(?=@)|(?<=password=)[^&]+")
_FIGURES = {"max_age_seconds": "max_age", "retry_attempts": "max_attempts"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting as it is in force; what is secret is masked."""

    name: str
    value: object
    source: str
    default: object
    meaning: str


@click.command()
@click.option("--changed", is_flag=True, help="Only those that are not at their default.")
@json_option
def settings(*, changed: bool, as_json: bool) -> None:
    """List every setting with its value, its source and its meaning; secrets are masked."""
    found = [setting for setting in _all(config.load()) if not changed or setting.source != "default"]
    if as_json:
        print_json({"items": found})
        return
    rows = [(setting.name, setting.value, setting.source, setting.meaning) for setting in found]
    print_table(("setting", "value", "source", "meaning"), rows, empty="All are at their defaults.")


def _all(loaded: Settings) -> Iterator[Setting]:
    sources = _Sources()
    for name, field in Settings.model_fields.items():
        if field.annotation is LaneSettings:
            yield from _lane(loaded, name, sources)
        else:
            yield Setting(
                name=name.upper(),
                value=_shown(getattr(loaded, name)),
                source=sources.of(name),
                default=_shown(field.default),
                meaning=_meaning(field),
            )


def _lane(loaded: Settings, group: str, sources: "_Sources") -> Iterator[Setting]:
    priority = Priority(group.upper())
    for name, field in LaneSettings.model_fields.items():
        yield Setting(
            name=f"{group}__{name}".upper(),
            value=_figure(loaded.lanes[priority], name),
            source=sources.of(f"{group}__{name}"),
            default=_figure(LANES[priority], name),
            meaning=_meaning(field),
        )


def _figure(lane: Any, name: str) -> object:
    value = getattr(lane, _FIGURES.get(name, name))
    return int(value.total_seconds()) if name == "max_age_seconds" else value


class _Sources:
    """Tells where a setting comes from; names are as in the environment, in lower case."""

    def __init__(self) -> None:
        self._environment = EnvSettingsSource(Settings).env_vars
        self._file = DotEnvSettingsSource(Settings).env_vars
        running = local.of_this_project()
        self._running = running.environment if running else {}

    def of(self, name: str) -> str:
        if name in self._environment:
            adopted = self._running.get(name.upper())
            return "tocsin up" if adopted and adopted == os.environ.get(name.upper()) else "environment"
        return ".env" if name in self._file else "default"


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return _MASK
    if isinstance(value, tuple):
        return tuple(map(_shown, value))
    if isinstance(value, str):
        return _PASSWORD.sub(_MASK, value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _meaning(field: FieldInfo) -> str:
    return field.description or ""
