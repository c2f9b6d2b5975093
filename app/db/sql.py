"""Statements kept in files: one statement a file, headed by what it promises."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import psycopg
import sqlalchemy as sa


@cache
def statement(package: str, name: str) -> str:
    """Read `name`.sql out of a package's `sql` folder, without comments and indentation.

    psycopg keeps what it makes of a text only where that has 4,096 characters at most.
    """
    text = resources.files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def run(conn: sa.Connection, package: str, name: str, parameters: Mapping[str, Any]) -> sa.CursorResult[Any]:
    """Run a statement from a file with its named parameters, as `%(name)s` in the text."""
    return conn.exec_driver_sql(statement(package, name), dict(parameters))


def run_bare(
    conn: psycopg.Connection[Any], package: str, name: str, parameters: Mapping[str, Any]
) -> list[Any]:
    """Run a statement from a file on a bare connection; give all its rows, none where it has none to give."""
    cursor = conn.execute(statement(package, name).encode(), parameters)
    return cursor.fetchall() if cursor.description else []
