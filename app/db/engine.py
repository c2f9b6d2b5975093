"""Connections to PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.types.json import set_json_loads
from sqlalchemy.exc import DBAPIError

from app.errors import Unavailable

# Classes and codes of SQLSTATE that mean "not now": connection lost, starting up or shutting down,
# out of connections, given up for another's sake (a deadlock), asked to give up a lock or a statement
# by a limit of ours.
_NOT_NOW = ("08", "40", "53", "57P", "57014", "55P03", "25006")


def make_engine(url: str, *, pool: int, name: str) -> sa.Engine:
    """Make an engine with at most `pool` connections, shown under `name` in pg_stat_activity.

    Connections are checked before use, so that a restarted server costs one reconnect and no error.
    """
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        # An error that names a statement must not show whom it was about.
        hide_parameters=True,
        connect_args={
            "application_name": f"tocsin {name}",
            "connect_timeout": 5,
            "options": "-c timezone=UTC -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s",
        },
    )
    sa.event.listen(engine, "connect", _read_json_quickly)
    return engine


def _read_json_quickly(connection: psycopg.Connection[Any], _record: object) -> None:
    """Read JSON columns with orjson; they come with every message."""
    set_json_loads(orjson.loads, connection)


@contextmanager
def unavailable_when_down() -> Iterator[None]:
    """Turn the driver's ways of saying "not now" into our one error."""
    try:
        yield
    except sa.exc.TimeoutError as exc:
        raise Unavailable("all database connections are in use") from exc
    except DBAPIError as exc:
        state = getattr(exc.orig, "sqlstate", None)
        if exc.connection_invalidated or state is None or state.startswith(_NOT_NOW):
            raise Unavailable("the database cannot be reached") from exc
        raise
