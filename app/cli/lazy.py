"""A group whose commands are imported only when they are called, so that help is there at once."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group over a table: name → ("module:attribute", one line of help)."""

    def __init__(self, *, commands_table: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(**options)
        self._table = commands_table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - Likewise.
        if cmd_name not in self._table:
            return None
        command: click.Command = load(self._table[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - Likewise.
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])


def load(target: str) -> Any:
    """Import "module:attribute" now."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
