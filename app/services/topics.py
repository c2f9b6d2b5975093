"""Topics: who wants to hear of what, by push. Our own table says who follows; FCM is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import device_tokens, topic_members, topics
from app.domain.outcomes import Outcome
from app.errors import Conflict, Invalid, NotFound
from app.queue import PACKAGE
from app.services import paging
from app.services.audit import Who, record
from app.services.field_rules import name_faults
from app.services.requests import Row
from app.services.topic_sync import TopicSync, result_of
from app.services.views import Page

State = Literal["subscribed", "unsubscribed", "waiting", "refused", "unknown"]

MOST = 200
MOST_TOKENS = 10_000
# So far the members of each topic are counted.
COUNTED = 1_000
# The rest is told behind the caller's back.
TOLD_WITHIN = timedelta(seconds=10)

_CHUNK = 5_000
_T, _M, _D = topics.c, topic_members.c, device_tokens.c


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicView:
    """A topic and how many devices follow it: `at_least` so many where that was not counted to the end.

    `changed_at` is when one of them last joined or was told of, known where all were looked at.
    """

    name: str
    description: str
    members: int
    at_least: bool
    changed_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberView:
    """A device that follows a topic; `state` is `subscribing` until FCM knows of it, `error` why not yet."""

    token: str
    platform: str
    recipient_type: str | None
    recipient_id: int
    state: str
    error: str | None
    changed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenResult:
    """What became of one token, in the order they were given.

    `waiting`: it is so for us, and FCM will be told. `refused`: FCM says that it cannot be. `unknown`:
    no device in use has this token.
    """

    state: State
    error: str | None = None


class TopicService:
    """Topics and their members. Each call raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, sync: TopicSync, *, stale_after: timedelta) -> None:
        self._engine = engine
        self._sync = sync
        self._stale_after = stale_after

    def create(self, who: Who, name: str, description: str = "") -> TopicView:
        """Make a topic; raises Conflict where there is one of that name, and Invalid."""
        found = list(name_faults("name", name))
        if found:
            raise Invalid(found)
        statement = (
            postgresql.insert(topics)
            .values(name=name, description=description)
            .on_conflict_do_nothing(constraint="topics_name_key")
            .returning(*_T)
        )
        with unavailable_when_down(), self._engine.begin() as conn:
            row = conn.execute(statement).one_or_none()
            if row is None:
                raise Conflict(f"there is a topic {name!r} already")
            record(conn, who, "topic.create", f"topic:{name}")
        return TopicView(
            name=name,
            description=description,
            members=0,
            at_least=False,
            changed_at=None,
            created_at=row.created_at,
        )

    def get(self, name: str) -> TopicView:
        """Give one topic; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            row = conn.execute(_with_members(sa.select(topics).where(_T.name == name))).one_or_none()
        if row is None:
            raise _missing()
        return _view(row)

    def list(self, *, beginning: str = "", cursor: str | None = None, limit: int = 50) -> Page[TopicView]:
        """List topics by name, those whose names begin so; members are counted up to COUNTED of each."""
        limit = paging.within(limit, MOST)
        after = paging.position(cursor, str)
        query = sa.select(topics).order_by(_T.name).limit(limit + 1)
        if beginning:
            query = query.where(_T.name.startswith(beginning, autoescape=True))
        if after:
            query = query.where(_T.name > after[0])
        with unavailable_when_down(), self._engine.connect() as conn:
            rows = conn.execute(_with_members(query)).all()
        return paging.page(rows, limit, _view, key="name")

    def members(self, name: str, *, cursor: str | None = None, limit: int = 50) -> Page[MemberView]:
        """List who follows a topic; raises NotFound."""
        limit = paging.within(limit, MOST)
        after = paging.position(cursor, int)
        with unavailable_when_down(), self._engine.connect() as conn:
            query = _followers(_topic(conn, name), after[0] if after else 0).limit(limit + 1)
            rows = conn.execute(query).all()
        return paging.page(rows, limit, _member, key="device_id")

    def subscribe(self, name: str, tokens: Sequence[str]) -> tuple[TokenResult, ...]:
        """Have devices follow a topic, up to MOST_TOKENS; gives one result each. Raises NotFound, Invalid."""
        topic = self._change(name, tokens, "join_topic")
        outcomes = self._sync.run(topic=topic, within=TOLD_WITHIN)
        with unavailable_when_down(), self._engine.connect() as conn:
            known = _known(conn, topic, tokens)
        return tuple(_joined(known.get(token), outcomes) for token in tokens)

    def unsubscribe(self, name: str, tokens: Sequence[str]) -> tuple[TokenResult, ...]:
        """Have devices follow a topic no more; gives one result each. Raises NotFound, Invalid."""
        topic = self._change(name, tokens, "leave_topic")
        self._sync.run(topic=topic, within=TOLD_WITHIN)
        with unavailable_when_down(), self._engine.connect() as conn:
            known = _known(conn, topic, tokens)
        return tuple(_left(known.get(token)) for token in tokens)

    def rows(self, name: str, platform: str) -> Iterator[Row]:
        """Give the members of one platform that can be sent to, as rows of a bulk request.

        Raises NotFound, when the first is asked for.
        """
        after, lines = 0, count(1)
        while True:
            with unavailable_when_down(), self._engine.connect() as conn:
                query = _followers(_topic(conn, name), after).where(
                    _D.platform == platform,
                    _D.deactivated_at.is_(None),
                    _D.last_seen_at > sa.func.now() - self._stale_after,
                )
                some = conn.execute(query.limit(_CHUNK)).all()
            for row in some:
                yield Row(line=next(lines), address=row.token, id=row.recipient_id, type=row.recipient_type)
            if len(some) < _CHUNK:
                return
            after = some[-1].device_id

    def _change(self, name: str, tokens: Sequence[str], statement: str) -> int:
        if not 1 <= len(tokens) <= MOST_TOKENS:
            raise Invalid.of("tokens", f"must be 1 to {MOST_TOKENS}")
        with unavailable_when_down(), self._engine.begin() as conn:
            topic = _topic(conn, name)
            run(conn, PACKAGE, statement, {"topic": topic, "tokens": list(tokens)})
        return topic


def _with_members(some: sa.Select[Any]) -> sa.Select[Any]:
    """Count the members of some topics, no further than one more than COUNTED of each."""
    topic = some.subquery("topic")
    looked = (
        sa.select(_M.changed_at)
        .where(_M.topic_id == topic.c.id, _M.state != "unsubscribing")
        .order_by(_M.device_id)
        .limit(COUNTED + 1)
        .lateral("looked")
    )
    return (
        sa.select(
            *topic.c,
            sa.func.count(looked.c.changed_at).label("members"),
            sa.func.max(looked.c.changed_at).label("changed_at"),
        )
        .select_from(topic.outerjoin(looked, sa.true()))
        .group_by(*topic.c)
        .order_by(topic.c.name)
    )


def _followers(topic: int, after: int) -> sa.Select[Any]:
    return (
        sa.select(topic_members, _D.token, _D.platform, _D.recipient_type, _D.recipient_id)
        .join(device_tokens, _D.id == _M.device_id)
        .where(_M.topic_id == topic, _M.device_id > after, _M.state != "unsubscribing")
        .order_by(_M.device_id)
    )


def _topic(conn: sa.Connection, name: str) -> int:
    found = conn.scalar(sa.select(_T.id).where(_T.name == name))
    if found is None:
        raise _missing()
    return int(found)


def _missing() -> NotFound:
    return NotFound("there is no such topic")


def _known(conn: sa.Connection, topic: int, tokens: Sequence[str]) -> dict[str, sa.Row[Any]]:
    """Read what is known of tokens: the device's id, and how it stands to the topic, if it does."""
    membership = sa.and_(_M.device_id == _D.id, _M.topic_id == topic)
    query: sa.Select[Any] = (
        sa.select(_D.id, _D.token, _D.deactivated_at, _M.state, _M.error)
        .outerjoin(topic_members, membership)
        .where(_D.token == sa.any_(sa.literal(list(tokens), postgresql.ARRAY(sa.Text))))
    )
    rows = conn.execute(query).all()
    return {row.token: row for row in rows}


def _joined(row: sa.Row[Any] | None, outcomes: dict[int, Outcome]) -> TokenResult:
    outcome = outcomes.get(row.id) if row else None
    if outcome is not None and result_of(outcome) == "refused":
        return TokenResult(state="refused", error=outcome.code or None)
    if row is None or row.deactivated_at is not None:
        return TokenResult(state="unknown")
    if row.state == "subscribed":
        return TokenResult(state="subscribed")
    return TokenResult(state="waiting", error=row.error)


def _left(row: sa.Row[Any] | None) -> TokenResult:
    if row is None:
        return TokenResult(state="unknown")
    if row.state is None:
        return TokenResult(state="unsubscribed")
    return TokenResult(state="waiting", error=row.error)


def _view(row: sa.Row[Any]) -> TopicView:
    is_more = row.members > COUNTED
    return TopicView(
        name=row.name,
        description=row.description,
        members=min(row.members, COUNTED),
        at_least=is_more,
        changed_at=None if is_more else row.changed_at,
        created_at=row.created_at,
    )


def _member(row: sa.Row[Any]) -> MemberView:
    return MemberView(
        token=row.token,
        platform=row.platform,
        recipient_type=row.recipient_type,
        recipient_id=row.recipient_id,
        state=row.state,
        error=row.error,
        changed_at=row.changed_at,
    )
