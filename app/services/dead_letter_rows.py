"""Finding dead letters: what failed, expired, is held or was cancelled, read by indexes of their own.

Every look reads a bounded number of rows, so that it costs the same beside any number of messages: a page
may have fewer items than asked for and still be followed by another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.tables import message_batches, message_queue
from app.domain.vocabulary import Channel, Priority, Status

DEAD = (Status.FAILED, Status.EXPIRED, Status.HELD, Status.CANCELLED)
# So many rows of a state are looked at in one go.
LOOK = 10_000

_M = message_queue.c
# What stands in front of the gateway's words is its code, where it has the look of one.
_CODE = sa.func.substring(_M.last_error, r"^([^\s:]{1,64}): ", type_=sa.Text)
_COLUMNS = (
    _M.id, _M.uuid, _M.priority, _M.status, _M.message_type, _M.channel, _M.client_id, _M.batch_id,
    _M.recipient_address, _M.gateway, _M.attempts, _M.possible_duplicate, _M.last_error,
    _M.last_error_class, _M.created_at, _M.updated_at, _M.expires_at, _CODE.label("code"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """Which dead letters are meant; all that is set must hold, and `statuses` are some of DEAD.

    `since` and `until` bound when a message came to rest; the first counts in, the second does not. The
    empty text means "none" for `gateway`, `error_class` and `code`.
    """

    statuses: tuple[Status, ...] = DEAD
    error_class: str | None = None
    code: str | None = None
    gateway: str | None = None
    channel: Channel | None = None
    priority: Priority | None = None
    client_id: int | None = None
    batch: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    uuids: tuple[UUID, ...] | None = None

    def spelled(self) -> dict[str, Any]:
        """Give what is set as plain JSON."""
        return {
            field.name: _plain(value)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "Criteria":
        """Read back what `spelled` gave."""
        return cls(**{name: _READERS.get(name, _same)(value) for name, value in kept.items()})

    def of(self, client: int | None) -> "Criteria":
        """Narrow this to one client's messages; None leaves it as it is."""
        return self if client is None else replace(self, client_id=client)


def newest(
    conn: sa.Connection, criteria: Criteria, *, before: int | None, limit: int
) -> tuple[Sequence[sa.Row[Any]], int | None]:
    """Read the newest that match, below the id `before`; give too where to read on, None at the end."""
    edge = conn.scalar(_edge(criteria, sa.func.max, before=before))
    looked = _looked(criteria, before=before)
    query = _matching(looked, criteria).order_by(looked.c.id.desc()).limit(limit + 1)
    if edge is not None:
        # What lies below was not looked at in every state yet.
        query = query.where(looked.c.id >= edge)
    rows = conn.execute(query).all()
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else edge


def oldest(
    conn: sa.Connection, criteria: Criteria, *, after: int, look: int
) -> tuple[Sequence[sa.Row[Any]], int | None]:
    """Read those that match among the next `look` of each state; give too where to read on."""
    edge = conn.scalar(_edge(criteria, sa.func.min, after=after, look=look))
    looked = _looked(criteria, after=after, look=look)
    query = _matching(looked, criteria).order_by(looked.c.id)
    return conn.execute(query if edge is None else query.where(looked.c.id <= edge)).all(), edge


def count(conn: sa.Connection, criteria: Criteria, *, after: int) -> tuple[int, int | None]:
    """Count those that match among the next LOOK of each state; give too where to count on."""
    edge = conn.scalar(_edge(criteria, sa.func.min, after=after))
    looked = _looked(criteria, after=after)
    within = sa.true() if edge is None else looked.c.id <= edge
    query = sa.select(sa.func.count()).select_from(looked).where(within, *_conditions(looked, criteria))
    return conn.scalar(query) or 0, edge


def reasons(criteria: Criteria) -> sa.Select[Any]:
    """Count by state, class, gateway and code, among the newest LOOK of each state.

    `looked` is for all rows of the state that were looked at, whether they match or not.
    """
    looked = _looked(criteria)
    named = (looked.c.status, looked.c.last_error_class, looked.c.gateway, looked.c.code)
    matched = sa.and_(*_conditions(looked, criteria))
    return (
        sa.select(
            *named,
            sa.func.count().filter(matched).label("matched"),
            sa.func.max(looked.c.updated_at).filter(matched).label("latest"),
            sa.func.sum(sa.func.count()).over(partition_by=looked.c.status).label("looked"),
        )
        .group_by(*named)
        .order_by(sa.desc("matched"))
    )


def _edge(
    criteria: Criteria,
    nearest: Callable[[Any], Any],
    *,
    before: int | None = None,
    after: int | None = None,
    look: int | None = None,
) -> sa.Select[Any]:
    """Select the id up to which all states are looked at; null where nothing lies behind any look."""
    ends = []
    for status in criteria.statuses:
        ids = _branch(status, criteria, before, after, look).subquery().c.id
        last = sa.func.min(ids) if after is None else sa.func.max(ids)
        ends.append(sa.select(last.label("id")).having(sa.func.count() >= (look or LOOK)))
    return sa.select(nearest(sa.union_all(*ends).subquery().c.id))


def _looked(
    criteria: Criteria, *, before: int | None = None, after: int | None = None, look: int | None = None
) -> sa.CTE:
    branches = (_branch(status, criteria, before, after, look).subquery() for status in criteria.statuses)
    return sa.union_all(*(sa.select(branch) for branch in branches)).cte("looked")


def _branch(
    status: Status, criteria: Criteria, before: int | None, after: int | None, look: int | None
) -> sa.Select[Any]:
    # The state stands in the statement itself: only so the planner knows that a partial index has it.
    query = sa.select(*_COLUMNS).where(_M.status == sa.literal_column(f"'{status.value}'"))
    if criteria.priority is not None:
        query = query.where(_M.priority == criteria.priority.value)
    if criteria.uuids is not None:
        query = query.where(_M.uuid.in_(criteria.uuids))
    if before is not None:
        query = query.where(_M.id < before)
    if after is not None:
        return query.where(_M.id > after).order_by(_M.id).limit(look or LOOK)
    return query.order_by(_M.id.desc()).limit(look or LOOK)


def _matching(looked: sa.CTE, criteria: Criteria) -> sa.Select[Any]:
    batch = sa.select(message_batches.c.uuid).where(message_batches.c.id == looked.c.batch_id)
    return sa.select(*looked.c, batch.scalar_subquery().label("batch")).where(*_conditions(looked, criteria))


def _conditions(looked: sa.CTE, criteria: Criteria) -> Iterable[sa.ColumnElement[bool]]:
    texts = {"last_error_class": criteria.error_class, "code": criteria.code, "gateway": criteria.gateway}
    for name, wanted in texts.items():
        if wanted is not None:
            yield sa.func.coalesce(looked.c[name], "") == wanted
    if criteria.channel is not None:
        yield looked.c.channel == criteria.channel.value
    if criteria.client_id is not None:
        yield looked.c.client_id == criteria.client_id
    if criteria.batch is not None:
        wanted_batch = sa.select(message_batches.c.id).where(message_batches.c.uuid == criteria.batch)
        yield looked.c.batch_id == wanted_batch.scalar_subquery()
    if criteria.since is not None:
        yield looked.c.updated_at >= criteria.since
    if criteria.until is not None:
        yield looked.c.updated_at < criteria.until
    yield sa.true()


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _same(value: Any) -> Any:
    return value


def _statuses(names: Sequence[str]) -> tuple[Status, ...]:
    return tuple(map(Status, names))


def _uuids(texts: Sequence[str]) -> tuple[UUID, ...]:
    return tuple(map(UUID, texts))


_READERS: Mapping[str, Any] = {
    "statuses": _statuses,
    "channel": Channel,
    "priority": Priority,
    "batch": UUID,
    "since": datetime.fromisoformat,
    "until": datetime.fromisoformat,
    "uuids": _uuids,
}
