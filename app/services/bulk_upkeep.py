"""What jobs do for bulk requests: count, finish, clean up."""

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import idempotency_keys, message_batches
from app.queue import PACKAGE
from app.services.staging import discard, remove, remove_staged

_AT_ONCE = 5_000


def fold_batch_deltas(engine: sa.Engine) -> int:
    """Add what changed since the last time to the batches' counts and finish those at rest.

    To be called every two seconds or more often; gives the number of deltas folded. Two at once do no
    harm. Raises Unavailable.
    """
    with unavailable_when_down():
        with engine.begin() as conn:
            folded = int(run(conn, PACKAGE, "fold_deltas", {}).one().folded)
        with engine.begin() as conn:
            run(conn, PACKAGE, "finish_batches", {})
    return folded


def discard_abandoned_uploads(engine: sa.Engine) -> int:
    """Remove uploads whose process died and free their keys; gives how many. Once a minute will do.

    Removes too what an expansion or an earlier clean-up left behind when it was cut short.
    Raises Unavailable.
    """
    with unavailable_when_down():
        discarded = sum(discard(engine, batch, alive=False) for batch in _in_state(engine, "uploading"))
        for batch in _in_state(engine, "discarded"):
            remove(engine, batch)
        for batch in _in_state(engine, "expanded"):
            remove_staged(engine, batch)
    return discarded


def remove_expired_keys(engine: sa.Engine) -> int:
    """Remove idempotency keys whose 24 hours are over; gives how many. Raises Unavailable."""
    keys = idempotency_keys
    expired = (
        sa.select(keys.c.client_id, keys.c.key)
        .where(keys.c.expires_at < sa.func.now())
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    statement = sa.delete(keys).where(sa.tuple_(keys.c.client_id, keys.c.key).in_(expired))
    removed = 0
    with unavailable_when_down():
        while True:
            with engine.begin() as conn:
                some = conn.execute(statement).rowcount
            removed += some
            if some < _AT_ONCE:
                return removed


def _in_state(engine: sa.Engine, state: str) -> list[int]:
    table = message_batches.c
    query = sa.select(table.id).where(table.state == state, table.finished_at.is_(None)).limit(1000)
    with engine.connect() as conn:
        return list(conn.scalars(query))
