"""What is known of each gateway's health, kept where it outlives Redis, and every change of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import channel_health, health_changes, sender_health
from app.domain.vocabulary import BreakerState, Channel
from app.limits.breaker import Change, Standing
from app.services import metrics, paging
from app.services.views import Page

log = structlog.get_logger(__name__)


MOST = 200
# That a sender was taken again is known so long, so that older news of it, which come late, are not believed.
_CLOSED_KEPT = timedelta(hours=1)
# No two clocks are further apart; a change that seems to lie later than this says nothing of the order.
_APART = timedelta(minutes=1)


class Kind(StrEnum):
    """What about a gateway, or about our mail's names, has changed."""

    BREAKER = "breaker"
    SHARE = "share"
    USE = "use"
    PROBE = "probe"
    REPUTATION = "reputation"


@dataclass(frozen=True, kw_only=True, slots=True)
class HealthChange:
    """One change (ChannelHealthChanged).

    `scope` is the sender where only one is concerned, or the pool or domain of a reputation. `who` is set
    where a person did it.
    """

    kind: Kind
    channel: Channel
    before: str
    after: str
    reason: str
    at: datetime
    gateway: str | None = None
    scope: str | None = None
    who: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeView:
    """One change as it was written down; see HealthChange."""

    id: int
    at: datetime
    kind: Kind
    channel: Channel
    gateway: str | None
    scope: str | None
    before: str
    after: str
    reason: str
    who: str | None


def changes(
    engine: sa.Engine,
    *,
    channel: Channel | None = None,
    gateway: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ChangeView]:
    """List changes, newest first. Raises Invalid for a cursor that is none of ours, and Unavailable."""
    limit = paging.within(limit, MOST)
    before = paging.position(cursor, int)
    table = health_changes.c
    query = sa.select(health_changes).order_by(table.id.desc()).limit(limit + 1)
    if channel is not None:
        query = query.where(table.channel == channel)
    if gateway is not None:
        query = query.where(table.gateway == gateway)
    if before:
        query = query.where(table.id < before[0])
    with unavailable_when_down(), engine.connect() as conn:
        rows = conn.execute(query).all()
    return paging.page(rows, limit, _change_view)


def _change_view(row: sa.Row[Any]) -> ChangeView:
    values = {name: getattr(row, name) for name in ChangeView.__slots__}
    return ChangeView(**{**values, "kind": Kind(row.kind), "channel": Channel(row.channel)})


def note_change(engine: sa.Engine, change: Change, *, who: str | None = None) -> None:
    """Say a breaker's change in one line and write it down, so that Redis may forget it.

    Raises Unavailable where it cannot be written down.
    """
    with unavailable_when_down(), engine.begin() as conn:
        write_breaker(conn, change)
        note_breaker(conn, change, who=who)


def note_breaker(conn: sa.Connection, change: Change, *, who: str | None = None) -> None:
    """Log, count and keep a breaker's change, in the transaction that writes how it stands."""
    told = HealthChange(
        kind=Kind.BREAKER,
        channel=change.channel,
        gateway=change.gateway,
        scope=change.scope or None,
        before=change.before.value,
        after=change.after.value,
        reason=change.reason,
        at=change.at,
        who=who,
    )
    note(conn, told)


def note(conn: sa.Connection, change: HealthChange) -> None:
    """Log, count and keep a change, in the transaction that makes it."""
    values = {name: getattr(change, name) for name in HealthChange.__slots__}
    conn.execute(sa.insert(health_changes).values(values))
    metrics.count_health_change(change.kind.value, change.channel, change.gateway or "", change.after)
    log.warning("gateway health changed", **{name: str(value) for name, value in values.items() if value})


def write_breaker(conn: sa.Connection, change: Change) -> None:
    """Keep how a gateway's breaker stands, or a sender's at it, unless a later change is written down."""
    if change.scope:
        _write_sender(conn, change)
        return
    standing = Standing(
        state=change.after, reason=change.reason, retry_at=change.retry_at, changed_at=change.at
    )
    if write_standing(conn, change.channel, change.gateway, standing):
        noted = {"last_failure_at": change.at} if change.after is BreakerState.OPEN else {}
        write(conn, change.channel, change.gateway, {"last_check_at": change.at, **noted})


def write_standing(conn: sa.Connection, channel: Channel, gateway: str, standing: Standing) -> bool:
    """Keep how a gateway's breaker stands; False where a later change is known, or this one has no time."""
    if standing.changed_at is None:
        return False
    healthy = standing.state is BreakerState.CLOSED
    values = {
        "is_healthy": healthy,
        "breaker_state": standing.state.value,
        "breaker_until": None if healthy else standing.retry_at,
        "failure_reason": None if healthy else standing.reason,
        "breaker_changed_at": standing.changed_at,
    }
    statement = insert(channel_health).values(channel=channel, gateway=gateway, **values)
    table = channel_health.c
    # Not where all is as it was: nothing is written again that is known.
    news = sa.or_(*(table[name].is_distinct_from(value) for name, value in values.items()))
    written = conn.execute(
        statement.on_conflict_do_update(
            index_elements=["channel", "gateway"],
            set_=values,
            where=sa.and_(news, _is_later(standing.changed_at, table.breaker_changed_at)),
        )
    )
    return written.rowcount > 0


def _is_later(at: datetime, known: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Tell whether what is known was true before, or at most then: two who write may come in any order."""
    return sa.or_(known.is_(None), known <= at, known > sa.func.now() + _APART)


def write(conn: sa.Connection, channel: Channel, gateway: str, values: dict[str, Any]) -> None:
    """Set columns of a gateway's row, which is made where there is none."""
    statement = insert(channel_health).values(channel=channel, gateway=gateway, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["channel", "gateway"], set_=values))


def _write_sender(conn: sa.Connection, change: Change) -> None:
    """Keep a row while a sender is refused, and for a while after; that there is none says all is well."""
    place = {"channel": change.channel, "gateway": change.gateway, "sender": change.scope}
    table = sender_health.c
    long_closed = sa.and_(
        table.breaker_state == BreakerState.CLOSED.value, table.changed_at < sa.func.now() - _CLOSED_KEPT
    )
    conn.execute(sa.delete(sender_health).where(long_closed))
    values = {
        "breaker_state": change.after.value,
        "breaker_until": change.retry_at,
        "reason": change.reason,
        "changed_at": change.at,
    }
    statement = insert(sender_health).values(**place, **values)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["channel", "gateway", "sender"],
            set_=values,
            where=_is_later(change.at, table.changed_at),
        )
    )
