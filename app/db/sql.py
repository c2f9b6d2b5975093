"""Statements kept in files: one statement a file, headed by what it promises."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa


@cache
def statement(package: str, name: str) -> str:
    """Read `name`.sql out of a package's `sql` folder."""
    return resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def run(conn: sa.Connection, package: str, name: str, parameters: Mapping[str, Any]) -> sa.CursorResult[Any]:
    """Run a statement from a file with its named parameters, as `%(name)s` in the text."""
    return conn.exec_driver_sql(statement(package, name), dict(parameters))
