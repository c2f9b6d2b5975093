"""Turning an accepted bulk request into messages, slice by slice."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import controls, message_batches
from app.domain.lanes import Lane
from app.domain.routing import needed
from app.domain.stops import StopScope
from app.domain.suppression import question
from app.domain.vocabulary import Channel, MessageType, Priority, Status
from app.queue import PACKAGE
from app.services.catalog import Catalog, Sender, needs_of
from app.services.message_metrics import count_queued
from app.services.staging import remove_staged
from app.wake import Wake

# The first slice is small, so that sending begins at once.
FIRST_SLICE = 1_000
SLICE = 10_000

_OPEN = ("accepted", "expanding")


def expand(
    engine: sa.Engine, catalog: Catalog, wake: Wake, lanes: Mapping[Priority, Lane], batch_id: int
) -> int:
    """Make queue rows of what is still staged of a batch; gives how many slices this call did.

    Each slice is one transaction, so a call that died is simply repeated; two calls at once do no harm.
    A batch that is not there, not yet accepted, expanded, cancelled or stopped is left alone. Raises
    Unavailable.
    """
    done = 0
    with unavailable_when_down():
        while (batch := _open_batch(engine, batch_id)) is not None:
            lane = lanes[Priority(batch.priority)]
            if _expand_slice(engine, catalog, lane, batch):
                done += 1
                wake.lane(lane.priority)
        _clear_staging(engine, batch_id)
    return done


def _open_batch(engine: sa.Engine, batch_id: int) -> sa.Row[Any] | None:
    query = sa.select(message_batches).where(
        message_batches.c.id == batch_id, message_batches.c.state.in_(_OPEN), ~_is_stopped()
    )
    with engine.connect() as conn:
        return conn.execute(query).one_or_none()


def _is_stopped() -> sa.Exists:
    """Tell whether an operator has stopped the batch or its template.

    Its messages could only be put back one by one. Those of stopped callers and channels just wait.
    """
    batch, stop, now = message_batches.c, controls.c, sa.func.now()
    return sa.exists().where(
        stop.procedure == "stop",
        stop.lifted_at.is_(None),
        stop.from_at <= now,
        sa.or_(stop.until_at.is_(None), stop.until_at > now),
        sa.or_(stop.includes_p0, batch.priority != Priority.P0.value),
        sa.or_(
            sa.and_(stop.scope == StopScope.BATCH.value, stop.scope_key == sa.cast(batch.id, sa.Text)),
            sa.and_(stop.scope == StopScope.TEMPLATE.value, stop.scope_key == batch.template),
        ),
    )


def _expand_slice(engine: sa.Engine, catalog: Catalog, lane: Lane, batch: sa.Row[Any]) -> bool:
    """Expand the lines behind the batch's position; False where another expander was quicker."""
    channel, message_type = Channel(batch.channel), MessageType(batch.message_type)
    sender = catalog.sender(channel, message_type, batch.options.get("sender"))
    asked = question(lane.priority, message_type)
    parameters = {
        "batch": batch.id,
        "at_line": batch.expanded_line,
        "size": SLICE if batch.expanded_line else FIRST_SLICE,
        "sender": sender.address if sender else None,
        "marketing": asked.marketing,
        "reasons": [reason.value for reason in asked.reasons],
        "gateway": _gateway(catalog, batch, sender),
        "on_clock": lane.on_clock,
        "max_age": lane.max_age,
        "max_attempts": lane.max_attempts,
    }
    with engine.begin() as conn:
        # A slice lost in a crash of the server is done again; nothing of it can have been sent, since
        # the commit of a claim writes this one out too.
        conn.exec_driver_sql("SET LOCAL synchronous_commit = off")
        row = run(conn, PACKAGE, "expand_slice", parameters).one_or_none()
    if row is None:
        return False
    count_queued(lane.priority, channel, [(Status.PENDING, row.added), (Status.SUPPRESSED, row.kept_back)])
    return True


def _gateway(catalog: Catalog, batch: sa.Row[Any], sender: Sender | None) -> str | None:
    """Choose anew for each slice, so that weights are kept over the batch and switches are heeded."""
    if batch.gateway_pinned:
        return str(batch.gateway)
    channel = Channel(batch.channel)
    needs = needs_of(
        channel,
        MessageType(batch.message_type),
        sender=sender,
        ip_pool=batch.ip_pool,
        capabilities=needed(channel, batch.options),
    )
    chain = catalog.chain(needs)
    return chain[0] if chain else batch.gateway


def _clear_staging(engine: sa.Engine, batch_id: int) -> None:
    """Remove the staged rows once they all are messages: until then they tell duplicates."""
    query = sa.select(message_batches.c.state).where(message_batches.c.id == batch_id)
    with engine.connect() as conn:
        state = conn.scalar(query)
    if state in ("expanded", "finished"):
        remove_staged(engine, batch_id)
