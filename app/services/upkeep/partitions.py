"""Partitions of the event log: made before they are needed, taken away when they are old."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from app.db.engine import make_engine, unavailable_when_down
from app.services.sending.tools import Tools

MONTHS_AHEAD = 3

_PART = re.compile(r"delivery_events_y(\d{4})m(\d{2})")
_NOT_THE_OWNER = "42501"
# The months, whether each is still part of the log, and whether taking it out was broken off.
_PARTS = sa.text("""
    SELECT
        c.relname AS name,
        i.inhrelid IS NOT NULL AS attached,
        coalesce(i.inhdetachpending, false) AS pending
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i
        ON i.inhrelid = c.oid AND i.inhparent = 'public.delivery_events'::regclass
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'delivery_events_y%'
    ORDER BY c.relname
""")


def ensure_partitions(tools: Tools) -> int:
    """Make the partitions of this month and the next three; gives how many were missing.

    Raises Unavailable.
    """
    with unavailable_when_down(), tools.engine.begin() as conn:
        return conn.scalar(sa.select(sa.func.ensure_event_partitions(MONTHS_AHEAD))) or 0


def drop_old_events(tools: Tools, kept: timedelta, owner_url: str | None) -> str:
    """Take months that ended longer ago out of the log and drop them; tells which. Raises Unavailable.

    Nobody waits for it: a month is detached concurrently, which waits for those who are reading the log
    and lets others in meanwhile. What was broken off is finished the next time. Only the owner of the
    tables may do it, so it takes the address by which migrations are made; else it tries our own.
    """
    url = owner_url or tools.engine.url.render_as_string(hide_password=False)
    engine = make_engine(url, pool=1, name="event partitions")
    try:
        with (
            unavailable_when_down(),
            engine.execution_options(isolation_level="AUTOCOMMIT").connect() as conn,
        ):
            old = [row for row in conn.execute(_PARTS) if _ended(row.name) <= tools.now() - kept]
            return _drop(conn, old)
    finally:
        engine.dispose()


def _drop(conn: sa.Connection, old: Sequence[sa.Row[tuple[str, bool, bool]]]) -> str:
    dropped = []
    for row in old:
        try:
            if row.attached:
                ending = "FINALIZE" if row.pending else "CONCURRENTLY"
                _run(conn, f"ALTER TABLE delivery_events DETACH PARTITION {{}} {ending}", row.name)
            _run(conn, "DROP TABLE {}", row.name)
        except DBAPIError as exc:
            if getattr(exc.orig, "sqlstate", None) != _NOT_THE_OWNER:
                raise
            return "old months stay: MIGRATION_DATABASE_URL has to be the tables' owner"
        dropped.append(row.name)
    return " ".join(dropped)


def _run(conn: sa.Connection, statement: str, table: str) -> None:
    conn.exec_driver_sql(sql.SQL(statement).format(sql.Identifier(table)).as_string())


def _ended(name: str) -> datetime:
    """Tell when a month's partition takes no more events; never, for a table that is none."""
    found = _PART.fullmatch(name)
    if found is None:
        return datetime.max.replace(tzinfo=UTC)
    year, month = int(found[1]), int(found[2])
    return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
