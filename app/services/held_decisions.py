"""Deciding about held messages: somebody says what became of them, or what is to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.db.arrays import numbers
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.vocabulary import Priority, Status
from app.errors import Conflict, Invalid
from app.queue import PACKAGE
from app.services import dead_letter_rows as letters
from app.services.audit import Who, record
from app.services.dead_letter_rows import Criteria
from app.services.dead_letter_views import Decided, HeldDecision
from app.services.dead_letters import find
from app.services.replaying import Lanes, put_back
from app.wake import Wake

AT_A_TIME = 1000
# Those that are sent again leave so far apart.
PAUSE = timedelta(milliseconds=10)

_STATUS: Mapping[HeldDecision, Status] = {
    HeldDecision.SENT: Status.SENT,
    HeldDecision.GIVE_UP: Status.FAILED,
    HeldDecision.CANCEL: Status.CANCELLED,
}


class HeldDecisions:
    """Decisions of people about messages whose fate is unknown; each lands in the audit log.

    `owner` as in DeadLetterService. Each call raises Unavailable where PostgreSQL is down.
    """

    def __init__(self, engine: sa.Engine, lanes: Lanes, wake: Wake) -> None:
        self._engine = engine
        self._lanes = lanes
        self._wake = wake

    def decide_one(
        self,
        who: Who,
        uuid: UUID,
        decision: HeldDecision,
        *,
        owner: int | None,
        why: str,
        source: str = "api",
    ) -> None:
        """Do it to one message. Raises NotFound, and Conflict where it is not held (any more)."""
        _require_reason(why)
        with unavailable_when_down(), self._engine.begin() as conn:
            row = find(conn, uuid, owner)
            if not self._carry_out(conn, [row], decision, row.now, source):
                raise Conflict(f"only a held message can be decided about; this one is {row.status}")
            after = {"decision": decision.value}
            before = {"status": row.status}
            record(conn, who, "message.decide", f"message:{uuid}", before=before, after=after, why=why)
        self._tell(decision, {Priority(row.priority)})

    def decide(
        self,
        who: Who,
        criteria: Criteria,
        decision: HeldDecision,
        *,
        owner: int | None,
        why: str,
        source: str = "api",
    ) -> Decided:
        """Do it to all held messages that match; gives to how many. Proof that comes meanwhile wins."""
        _require_reason(why)
        criteria = replace(criteria.of(owner), statuses=(Status.HELD,))
        done, after = 0, 0
        priorities: set[Priority] = set()
        while True:
            with unavailable_when_down(), self._engine.begin() as conn:
                rows, edge = letters.oldest(conn, criteria, after=after, look=AT_A_TIME)
                some = self._some(conn, who, rows, decision, criteria=criteria, why=why, source=source)
            done += len(some)
            priorities |= {Priority(row.priority) for row in rows if row.id in some}
            if edge is None:
                break
            after = edge
        self._tell(decision, priorities)
        return Decided(decision=decision, count=done)

    def _some(
        self,
        conn: sa.Connection,
        who: Who,
        rows: Sequence[sa.Row[Any]],
        decision: HeldDecision,
        *,
        criteria: Criteria,
        why: str,
        source: str,
    ) -> set[int]:
        if not rows:
            return set()
        done = self._carry_out(
            conn, rows, decision, conn.execute(sa.select(sa.func.now())).scalar_one(), source
        )
        after = {"decision": decision.value, "count": len(done), "criteria": criteria.spelled()}
        record(conn, who, "dead_letters.decide", "held", after=after, why=why)
        return done

    def _carry_out(
        self,
        conn: sa.Connection,
        rows: Sequence[sa.Row[Any]],
        decision: HeldDecision,
        now: Any,
        source: str,
    ) -> set[int]:
        held = [row for row in rows if row.status == Status.HELD]
        if not held:
            return set()
        if decision is HeldDecision.RESEND:
            return set(put_back(conn, self._lanes, held, start=now, pause=PAUSE, source=source))
        parameters = {
            "ids": numbers(row.id for row in held),
            "priorities": sorted({row.priority for row in held}),
            "status": _STATUS[decision],
            "source": source,
        }
        return {row.id for row in run(conn, PACKAGE, "decide_held", parameters)}

    def _tell(self, decision: HeldDecision, priorities: set[Priority]) -> None:
        if decision is HeldDecision.RESEND:
            for priority in sorted(priorities):
                self._wake.lane(priority)


def _require_reason(why: str) -> None:
    if not why.strip():
        raise Invalid.of("why", "is missing: say why, for the audit log")
