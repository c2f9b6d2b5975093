"""How far one look goes through a table where no index leads to what is wanted."""

from typing import Any

import sqlalchemy as sa

# So many rows are looked at for one page.
LOOK = 20_000


def edge(
    conn: sa.Connection, key: sa.ColumnElement[Any], before: int | None, *, size: int = LOOK
) -> int | None:
    """Give the key at the far end of the newest `size` rows below `before`; None where the table ends sooner.

    `key` is the table's own, by which it is read from the newest to the oldest.
    """
    newest = sa.select(key.label("key")).order_by(key.desc()).limit(size)
    if before is not None:
        newest = newest.where(key < before)
    looked = newest.subquery()
    first, count = conn.execute(sa.select(sa.func.min(looked.c.key), sa.func.count())).one()
    return first if count == size else None


def page_of(
    conn: sa.Connection,
    query: sa.Select[Any],
    key: sa.ColumnElement[Any],
    *,
    before: int | None,
    limit: int,
    led: bool,
    size: int = LOOK,
) -> tuple[list[sa.Row[Any]], int | None]:
    """Read one page, newest first, and the key behind which the next begins (None at the end).

    What an index leads to (`led`) is read to its end, all else no further than one look.
    """
    last = None if led else edge(conn, key, before, size=size)
    query = query.order_by(key.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(key < before)
    if last is not None:
        query = query.where(key >= last)
    rows = list(conn.execute(query).all())
    if len(rows) > limit:
        return rows[:limit], getattr(rows[limit - 1], key.key or "id")
    return rows, last
