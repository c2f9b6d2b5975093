"""An upload's rows on their way into the database, and out again where it breaks."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg
import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import message_batches
from app.domain.vocabulary import Channel
from app.errors import Conflict
from app.queue import PACKAGE
from app.services.requests import Reject

# A process that takes in an upload must write something within this time, or it is taken for dead.
LEASE = timedelta(seconds=60)

_NULL = "\\N"
_SPECIAL = re.compile("[\\\\\t\n\r\0]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": None})

_REMOVED_AT_ONCE = 20_000
_STAGE = """
COPY batch_staging (batch_id, line, address, address_hash, recipient_type, recipient_id, data) FROM STDIN
"""
_REJECT = "COPY batch_rejects (batch_id, line, reason) FROM STDIN"


class Staged(NamedTuple):
    """A row that is ready for staging: address in canonical form, data as JSON."""

    line: int
    address: str
    address_hash: int
    recipient_type: str | None
    recipient_id: int | None
    data: str | None


class Upload(NamedTuple):
    """A bulk request whose rows are coming in."""

    id: int
    uuid: UUID


def store(engine: sa.Engine, batch: int, rows: Sequence[Staged], rejects: Sequence[Reject]) -> None:
    """Commit some rows and renew the lease; raises Conflict where the upload was given up meanwhile."""
    with engine.begin() as conn:
        # The commit that accepts the batch is written out, and with it all before it.
        conn.exec_driver_sql("SET LOCAL synchronous_commit = off")
        renew(conn, batch)
        _copy(conn, _STAGE, (_staged_line(batch, row) for row in rows))
        _copy(conn, _REJECT, (f"{batch}\t{line}\t{_text(reason)}\n" for line, reason in rejects))


def renew(conn: sa.Connection, batch: int) -> None:
    """Lengthen an upload's lease; raises Conflict where it was given up meanwhile."""
    if run(conn, PACKAGE, "renew_upload", {"batch": batch, "lease": LEASE}).one_or_none() is None:
        raise Conflict("the upload took too long between two rows and was given up; send it again")


def _copy(conn: sa.Connection, statement: str, lines: Iterable[str]) -> None:
    text = "".join(lines)
    if not text:
        return
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - tells the type checker which driver it is.
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text)


def _staged_line(batch: int, row: Staged) -> str:
    """Write a row as COPY reads it; by hand, since this is the most frequent step of an upload."""
    line, address, address_hash, kind, number, data = row
    return (
        f"{batch}\t{line}\t{address}\t{address_hash}\t{_text(kind)}\t"
        f"{_NULL if number is None else number}\t{_text(data)}\n"
    )


def _text(value: str | None) -> str:
    if value is None:
        return _NULL
    return value.translate(_ESCAPES) if _SPECIAL.search(value) else value


def discard(engine: sa.Engine, batch: int, *, alive: bool) -> bool:
    """Give an upload up and remove all of it; an `alive` one even before its lease is over.

    Tells whether there was anything to give up. May be repeated after it was cut short.
    """
    with engine.begin() as conn:
        given_up = run(conn, PACKAGE, "discard_upload", {"batch": batch, "alive": alive}).one_or_none()
    if given_up is not None:
        remove(engine, batch)
    return given_up is not None


def discard_lapsed(engine: sa.Engine, client_id: int, key: str) -> bool:
    """Give up a dead upload that still holds a key; tells whether there was one."""
    table = message_batches.c
    query = sa.select(table.id).where(
        table.state == "uploading",
        table.finished_at.is_(None),
        table.client_id == client_id,
        table.idempotency_key == key,
    )
    with engine.connect() as conn:
        batch = conn.scalar(query)
    return batch is not None and discard(engine, batch, alive=False)


def remove(engine: sa.Engine, batch: int) -> None:
    """Remove a discarded upload: its staged rows, its rejects, and at last the batch."""
    remove_staged(engine, batch)
    with engine.begin() as conn:
        conn.execute(sa.text("DELETE FROM batch_rejects WHERE batch_id = :batch"), {"batch": batch})
        conn.execute(
            sa.text("DELETE FROM message_batches WHERE id = :batch AND state = 'discarded'"), {"batch": batch}
        )


def remove_staged(engine: sa.Engine, batch: int) -> int:
    """Remove a batch's staged rows, some at a time; gives how many there were."""
    removed = 0
    while True:
        with engine.begin() as conn:
            some = run(conn, PACKAGE, "remove_staged", {"batch": batch, "size": _REMOVED_AT_ONCE}).rowcount
        removed += some
        if some < _REMOVED_AT_ONCE:
            return removed


def drop_duplicates(conn: sa.Connection, batch: int, channel: Channel) -> int:
    """Leave each address's first line only; gives how many lines went."""
    # Else a million hashes are sorted on disk. And nothing is known yet of how many rows this batch has:
    # a nested loop, which the planner takes for cheap then, would compare each with each.
    conn.exec_driver_sql("SET LOCAL work_mem = '64MB'; SET LOCAL enable_nestloop = off")
    parameters = {"batch": batch, "in_lower_case": channel is Channel.EMAIL}
    dropped = int(run(conn, PACKAGE, "drop_duplicates", parameters).one().duplicate)
    conn.exec_driver_sql("SET LOCAL enable_nestloop = on")
    return dropped
