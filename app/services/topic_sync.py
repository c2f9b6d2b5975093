"""Telling the gateway who follows which topic; our own table is what holds."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import topic_members, topics
from app.domain.outcomes import Outcome
from app.domain.suppression import SuppressionPolicy
from app.domain.vocabulary import Channel, OutcomeClass, SuppressionReason
from app.errors import Unavailable
from app.gateways.base import HttpFailure, HttpRequest, HttpResponse, outcome_of_failure
from app.gateways.transport import Transport
from app.queue import PACKAGE
from app.services.suppressing import Blame, suppress

log = structlog.get_logger(__name__)

AT_A_TIME = 1000
_STATES = ("subscribing", "unsubscribing")
# What is said once and for all of a token; the rest may be otherwise later.
_REFUSALS = frozenset({OutcomeClass.RECIPIENT, OutcomeClass.CONTENT})


class TopicVendor(Protocol):
    """A gateway's own topics: up to AT_A_TIME tokens a request, which may be repeated."""

    def build(self, topic: str, tokens: Sequence[str], now: datetime, *, subscribe: bool) -> HttpRequest:
        """Make the request; raises Unavailable where it cannot be made now."""
        ...

    def read(self, tokens: Sequence[str], response: HttpResponse) -> list[Outcome]:
        """Tell what became of each token, in the same order; never raises."""
        ...


class TopicSync:
    """Tells a gateway what it does not know yet of our topics; threads and processes may share the work.

    Without a vendor nobody is told, and whoever joined waits.
    """

    def __init__(
        self,
        engine: sa.Engine,
        vendor: TopicVendor | None,
        transport: Callable[[], Transport],
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._vendor = vendor
        self._transport = transport
        self._now = now

    def run(self, *, within: timedelta, topic: int | None = None) -> dict[int, Outcome]:
        """Tell of one topic, or of all; gives the outcomes by device. Raises Unavailable.

        No request is begun later than `within`; what is left is told the next time. After a request
        of which nothing came, no further one is made for that topic.
        """
        outcomes: dict[int, Outcome] = {}
        if self._vendor is None:
            return outcomes
        ends_at = time.monotonic() + within.total_seconds()
        for row in self._waiting(topic):
            for state in _STATES:
                outcomes |= self._tell(self._vendor, row, state, ends_at)
        return outcomes

    def _waiting(self, topic: int | None) -> Sequence[sa.Row[Any]]:
        members = topic_members.c
        waits = sa.exists().where(members.topic_id == topics.c.id, members.state != "subscribed")
        query: sa.Select[Any] = sa.select(topics.c.id, topics.c.name).where(waits).order_by(topics.c.id)
        if topic is not None:
            query = query.where(topics.c.id == topic)
        with unavailable_when_down(), self._engine.connect() as conn:
            return conn.execute(query).all()

    def _tell(
        self, vendor: TopicVendor, topic: sa.Row[Any], state: str, ends_at: float
    ) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        after = 0
        while time.monotonic() < ends_at:
            with unavailable_when_down(), self._engine.begin() as conn:
                members = _untold(conn, topic.id, state, after)
                if not members:
                    break
                told = self._exchange(vendor, topic.name, members, subscribe=state == "subscribing")
                _settle(conn, topic.id, members, told)
            outcomes.update(zip((member.device_id for member in members), told, strict=True))
            after = members[-1].device_id
            if not any(_is_final(outcome) for outcome in told):
                log.warning("a topic's members cannot be told", topic=topic.name, code=told[0].code)
                break
        return outcomes

    def _exchange(
        self, vendor: TopicVendor, topic: str, members: Sequence[sa.Row[Any]], *, subscribe: bool
    ) -> list[Outcome]:
        tokens = [member.token for member in members]
        try:
            request = vendor.build(topic, tokens, self._now(), subscribe=subscribe)
        except Unavailable as exc:
            return [Outcome(kind=OutcomeClass.TRANSIENT, code="unavailable", detail=str(exc))] * len(tokens)
        reply = self._transport().fetch(request)
        if isinstance(reply, HttpFailure):
            return [outcome_of_failure(reply)] * len(tokens)
        return vendor.read(tokens, reply)


def result_of(outcome: Outcome) -> str:
    """Say in a word what an outcome means for a member: done, refused, or waiting for another try."""
    if outcome.kind is OutcomeClass.ACCEPTED:
        return "done"
    return "refused" if outcome.kind in _REFUSALS else "waiting"


def _is_final(outcome: Outcome) -> bool:
    return result_of(outcome) != "waiting"


def _untold(conn: sa.Connection, topic: int, state: str, after: int) -> Sequence[sa.Row[Any]]:
    """Read the next members to tell of, while nobody else tells of this topic."""
    key = sa.func.hashtextextended(f"topic:{topic}", 0)
    if not conn.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(key))):
        return ()
    parameters = {"topic": topic, "state": state, "after": after, "limit": AT_A_TIME}
    return run(conn, PACKAGE, "untold_members", parameters).all()


def _settle(conn: sa.Connection, topic: int, members: Sequence[sa.Row[Any]], told: Sequence[Outcome]) -> None:
    parameters = {
        "topic": topic,
        "devices": [member.device_id for member in members],
        "times": [member.changed_at for member in members],
        "results": [result_of(outcome) for outcome in told],
        "errors": [outcome.code or None for outcome in told],
    }
    run(conn, PACKAGE, "settle_members", parameters)
    suppress(conn, SuppressionPolicy(), list(_gone(members, told)))


def _gone(members: Sequence[sa.Row[Any]], told: Sequence[Outcome]) -> Iterator[Blame]:
    """Name the devices of which the gateway knows that they are no more."""
    for member, outcome in zip(members, told, strict=True):
        if outcome.kind is OutcomeClass.RECIPIENT:
            yield Blame(
                message=None,
                channel=Channel.PUSH,
                address=member.token,
                reason=SuppressionReason.BOUNCE_HARD,
                source="topics",
                as_of=outcome.as_of,
            )
