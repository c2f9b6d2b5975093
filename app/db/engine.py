"""Connections to PostgreSQL."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import psycopg
import sqlalchemy as sa
from psycopg.rows import namedtuple_row, tuple_row
from psycopg.types.json import set_json_loads
from sqlalchemy.exc import DBAPIError

from app.errors import Unavailable

# Classes and codes of SQLSTATE that mean "not now": connection lost, starting up or shutting down,
# out of connections, given up for another's sake (a deadlock), asked to give up a lock or a statement
# by a limit of ours.
_NOT_NOW = ("08", "40", "53", "57P", "57014", "55P03", "25006")

# A firewall may have forgotten a connection that was quiet for so long, and nothing here shows it.
_QUIET = 60.0  # seconds


# What every session of ours has.
_OWN = {"options": "-c timezone=UTC -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"}
# Behind a pooler of transactions a session is nobody's own: the role's settings say the same there, and
# statements that one connection has prepared are unknown to the next.
_POOLED = {"prepare_threshold": None}


def make_engine(url: str, *, pool: int, name: str, pooled: bool = False) -> sa.Engine:
    """Make an engine with at most `pool` connections, shown under `name` in pg_stat_activity.

    Connections are checked before use, so that a restarted server costs one reconnect and no error. Where
    it is `pooled`, PgBouncer or its like is between, and lends a connection for each transaction.
    """
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=5,
        # An error that names a statement must not show whom it was about.
        hide_parameters=True,
        connect_args={
            "application_name": f"tocsin {name}",
            "connect_timeout": 5,
            **(_POOLED if pooled else _OWN),
        },
    )
    sa.event.listen(engine, "connect", _read_json_quickly)
    sa.event.listen(engine, "checkout", partial(_require_alive, engine.dialect.do_ping))
    sa.event.listen(engine, "checkin", _note_use)
    return engine


def _read_json_quickly(connection: psycopg.Connection[Any], _record: object) -> None:
    """Read JSON columns with orjson; they come with every message."""
    set_json_loads(orjson.loads, connection)


def _require_alive(
    ping: Callable[[Any], bool], connection: psycopg.Connection[Any], record: Any, _proxy: object
) -> None:
    """Have the pool open another connection where the server has closed this one.

    Its socket tells: an idle one has nothing to read. Asking the server by a statement each time, as
    pool_pre_ping does, would take as long as most of our statements.
    """
    try:
        if not _is_quiet(connection) or time.monotonic() - record.info.get("used", 0.0) > _QUIET:
            ping(connection)
    except psycopg.Error as exc:
        raise sa.exc.DisconnectionError from exc


def _is_quiet(connection: psycopg.Connection[Any]) -> bool:
    probe = select.poll()
    probe.register(connection.fileno(), select.POLLIN)
    return not probe.poll(0)


def _note_use(_connection: object, record: Any) -> None:
    record.info["used"] = time.monotonic()


@contextmanager
def bare(engine: sa.Engine) -> Iterator[psycopg.Connection[Any]]:
    """Lend one of the pool's connections as the driver has it, each statement committing by itself.

    For the one statement that callers wait for: SQLAlchemy's part would cost more than the driver's.
    Rows come with their columns as attributes. Errors are the driver's own.
    """
    lent = engine.raw_connection()
    connection: psycopg.Connection[Any] = lent.driver_connection  # type: ignore[assignment]
    connection.autocommit = True
    connection.row_factory = namedtuple_row
    try:
        yield connection
    finally:
        if connection.closed:
            lent.invalidate()
        else:
            connection.autocommit = False
            connection.row_factory = tuple_row
            lent.close()


@contextmanager
def unavailable_when_down() -> Iterator[None]:
    """Turn the driver's ways of saying "not now" into our one error."""
    try:
        yield
    except sa.exc.TimeoutError as exc:
        raise Unavailable("all database connections are in use") from exc
    except DBAPIError as exc:
        if exc.connection_invalidated or _is_for_now(exc.orig):
            raise Unavailable("the database cannot be reached") from exc
        raise
    except psycopg.Error as exc:
        if _is_for_now(exc):
            raise Unavailable("the database cannot be reached") from exc
        raise


def _is_for_now(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith(_NOT_NOW)
