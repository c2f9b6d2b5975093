"""Dead letters: what was not sent, why, and how it is sent after all, once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.tables import message_queue, replays
from app.domain.vocabulary import Channel, Priority, Status
from app.errors import Conflict, Fault, Invalid, KeyReused, NotFound
from app.services import dead_letter_rows as rows
from app.services import paging, replaying
from app.services.audit import Who, record
from app.services.dead_letter_rows import Criteria
from app.services.dead_letter_views import (
    Counted,
    DeadLetter,
    Reason,
    Reasons,
    ReplayView,
    dead_letter,
    replay_view,
)
from app.services.replaying import Lanes
from app.services.views import Page
from app.wake import Wake

MOST = 200
MOST_UUIDS = 1000
SLOWEST, FASTEST = 0.1, 1000.0  # messages a second
COUNTED_UP_TO = 100_000

REPLAYABLE = frozenset({Status.FAILED, Status.EXPIRED, Status.CANCELLED})

_M, _R = message_queue.c, replays.c


class DeadLetterService:
    """Reading and replaying dead letters. Each call raises Unavailable where PostgreSQL is down.

    `owner` is the client whose messages alone are meant, None for everybody's. Every change lands in the
    audit log, with who and why.
    """

    def __init__(
        self, engine: sa.Engine, lanes: Lanes, wake: Wake, channels: Callable[[], Mapping[str, Channel]]
    ) -> None:
        self._engine = engine
        self._lanes = lanes
        self._wake = wake
        self._channels = channels

    def page(
        self, criteria: Criteria, *, owner: int | None, cursor: str | None = None, limit: int = 50
    ) -> Page[DeadLetter]:
        """List those that match, newest first.

        A page may have few items, or none, and still be followed by another: a look is bounded.
        """
        limit, before = paging.within(limit, MOST), paging.position(cursor, int)
        with unavailable_when_down(), self._engine.connect() as conn:
            found, behind = rows.newest(
                conn, criteria.of(owner), before=before[0] if before else None, limit=limit
            )
        following = None if behind is None else paging.cursor(behind)
        return Page(items=tuple(map(dead_letter, found)), next=following)

    def reasons(self, criteria: Criteria, *, owner: int | None) -> Reasons:
        """Count by state, class, gateway and code, among the newest ten thousand of each state."""
        with unavailable_when_down(), self._engine.connect() as conn:
            counted = conn.execute(rows.reasons(criteria.of(owner))).all()
        items = tuple(
            Reason(
                status=Status(row.status),
                error_class=row.last_error_class,
                gateway=row.gateway,
                code=row.code,
                count=row.matched,
                latest=row.latest,
            )
            for row in counted
            if row.matched
        )
        return Reasons(items=items, complete=all(row.looked < rows.LOOK for row in counted))

    def count(self, criteria: Criteria, *, owner: int | None) -> Counted:
        """Count those that match, as a preview; not beyond some hundred thousand that are looked at."""
        found, after, looked = 0, 0, 0
        with unavailable_when_down(), self._engine.connect() as conn:
            while looked < COUNTED_UP_TO:
                some, edge = rows.count(conn, criteria.of(owner), after=after)
                found += some
                if edge is None:
                    return Counted(count=found, complete=True)
                after, looked = edge, looked + rows.LOOK
        return Counted(count=found, complete=False)

    def replay(
        self,
        who: Who,
        criteria: Criteria,
        *,
        owner: int | None,
        why: str,
        per_second: float,
        gateway: str | None = None,
        replay_id: UUID | None = None,
        source: str = "api",
    ) -> ReplayView:
        """Put those that match back into the queue, `per_second` of them; gives how far it is at once.

        The rest follows by itself. A `replay_id` that came before gives that replay and does nothing;
        with other criteria it raises KeyReused. What comes to rest after this is not taken.
        """
        self._check(criteria, why, per_second, gateway)
        wanted = {
            "uuid": replay_id or uuid4(),
            "who": who.actor,
            "why": why,
            "source": source,
            "criteria": criteria.of(owner).spelled(),
            "gateway": gateway,
            "per_second": per_second,
        }
        with unavailable_when_down(), self._engine.begin() as conn:
            made = insert(replays).values(wanted).on_conflict_do_nothing().returning(replays)
            row = conn.execute(made).one_or_none()
            if row is None:
                return self._again(conn, wanted)
            after = {name: wanted[name] for name in ("criteria", "gateway", "per_second")}
            record(conn, who, "dead_letters.replay", f"replay:{row.uuid}", after=after, why=why)
        self._tell(replaying.advance(self._engine, self._lanes, row.uuid))
        return replace(self.replay_state(row.uuid, owner=owner), is_new=True)

    def replay_state(self, uuid: UUID, *, owner: int | None) -> ReplayView:
        """Tell how far a replay is; raises NotFound."""
        with unavailable_when_down(), self._engine.connect() as conn:
            return replay_view(_replay(conn, uuid, owner))

    def replays(self, *, owner: int | None, limit: int = 50) -> tuple[ReplayView, ...]:
        """List the latest replays."""
        query = sa.select(replays).order_by(_R.created_at.desc()).limit(paging.within(limit, MOST))
        if owner is not None:
            query = query.where(_R.criteria["client_id"].as_integer() == owner)
        with unavailable_when_down(), self._engine.connect() as conn:
            return tuple(map(replay_view, conn.execute(query)))

    def stop_replay(self, who: Who, uuid: UUID, *, owner: int | None, why: str) -> ReplayView:
        """Put nothing more back; what was put back stays. Raises NotFound, Conflict where it has ended."""
        _require_reason(why)
        with unavailable_when_down(), self._engine.begin() as conn:
            _replay(conn, uuid, owner)
            stopped = (
                sa.update(replays)
                .where(_R.uuid == uuid, _R.state == "running")
                .values(state="cancelled", finished_at=sa.func.now())
                .returning(replays)
            )
            row = conn.execute(stopped).one_or_none()
            if row is None:
                raise Conflict("the replay has come to its end already")
            record(
                conn,
                who,
                "dead_letters.stop_replay",
                f"replay:{uuid}",
                after={"replayed": row.replayed},
                why=why,
            )
        return replay_view(row)

    def replay_one(
        self,
        who: Who,
        uuid: UUID,
        *,
        owner: int | None,
        why: str,
        gateway: str | None = None,
        source: str = "api",
    ) -> None:
        """Put one message back into the queue at once, by another gateway where one is named.

        Raises NotFound, and Conflict where it is in no state for that: nobody else has replayed it.
        """
        _require_reason(why)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = find(conn, uuid, owner)
            self._check_gateway(gateway, Channel(row.channel))
            if Status(row.status) not in REPLAYABLE or not self._put_back(conn, row, gateway, source):
                raise Conflict(_why_not(Status(row.status)))
            after = {"gateway": gateway} if gateway else {}
            before = {"status": row.status, "gateway": row.gateway}
            record(conn, who, "message.replay", f"message:{uuid}", before=before, after=after, why=why)
        self._tell({Priority(row.priority)})

    def _put_back(self, conn: sa.Connection, row: sa.Row[Any], gateway: str | None, source: str) -> bool:
        done = replaying.put_back(
            conn,
            self._lanes,
            [row],
            start=row.now,
            pause=timedelta(0),
            source=source,
            gateway=gateway,
        )
        return bool(done)

    def _again(self, conn: sa.Connection, wanted: Mapping[str, Any]) -> ReplayView:
        row = conn.execute(sa.select(replays).where(_R.uuid == wanted["uuid"])).one()
        if any(getattr(row, name) != wanted[name] for name in ("criteria", "gateway", "per_second")):
            raise KeyReused("the replay_id came before with other criteria")
        return replay_view(row)

    def _check(self, criteria: Criteria, why: str, per_second: float, gateway: str | None) -> None:
        _require_reason(why)
        faults = []
        if not criteria.statuses or not REPLAYABLE.issuperset(criteria.statuses):
            words = "must be some of failed, expired, cancelled; held messages are decided about"
            faults.append(Fault("statuses", words))
        if not SLOWEST <= per_second <= FASTEST:
            faults.append(Fault("per_second", f"must be from {SLOWEST:g} to {FASTEST:g}"))
        if criteria.uuids is not None and len(criteria.uuids) > MOST_UUIDS:
            faults.append(Fault("uuids", f"may be {MOST_UUIDS} at most"))
        if gateway is not None and criteria.channel is None:
            faults.append(Fault("channel", "is missing: a gateway sends on one channel alone"))
        if faults:
            raise Invalid(faults)
        if criteria.channel is not None:
            self._check_gateway(gateway, criteria.channel)

    def _check_gateway(self, gateway: str | None, channel: Channel) -> None:
        if gateway is not None and self._channels().get(gateway) is not channel:
            raise Invalid.of("gateway", f"must be a configured gateway for {channel}")

    def _tell(self, priorities: set[Priority]) -> None:
        for priority in sorted(priorities):
            self._wake.lane(priority)


def find(conn: sa.Connection, uuid: UUID, owner: int | None) -> sa.Row[Any]:
    """Find a message and lock it; raises NotFound where there is none, or it is another client's."""
    query = sa.select(
        _M.id, _M.uuid, _M.priority, _M.status, _M.channel, _M.gateway, sa.func.now().label("now")
    ).where(_M.uuid == uuid)
    if owner is not None:
        query = query.where(_M.client_id == owner)
    row = conn.execute(query.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise NotFound("there is no such message")
    return row


def _replay(conn: sa.Connection, uuid: UUID, owner: int | None) -> sa.Row[Any]:
    row = conn.execute(sa.select(replays).where(_R.uuid == uuid)).one_or_none()
    if row is None or (owner is not None and row.criteria.get("client_id") != owner):
        raise NotFound("there is no such replay")
    return row


def _why_not(status: Status) -> str:
    if status is Status.HELD:
        return "a held message is decided about, not replayed: nobody knows whether it was sent"
    return f"only a failed, expired or cancelled message can be replayed; this one is {status}"


def _require_reason(why: str) -> None:
    if not why.strip():
        raise Invalid.of("why", "is missing: say why, for the audit log")
