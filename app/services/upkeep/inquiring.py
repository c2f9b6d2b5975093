"""Asking gateways about held messages, where a gateway can be asked: what it has was sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.arrays import numbers, texts
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import message_queue
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Priority, Status
from app.gateways.base import Askable, HttpFailure, HttpRequest, HttpResponse, Inquiry, Sighting
from app.queue import PACKAGE
from app.queue.rows import Claimed
from app.services.recording.heard import Heard
from app.services.recording.record import Recorded, record
from app.services.sending.tools import Tools

AT_A_TIME = 50
# A webhook is mostly quicker than our asking, and a vendor's list later than its answers.
SETTLED = timedelta(seconds=30)
# How far a gateway's clock, or the lease of a worker that was lost, may be from the time of holding.
MARGIN = timedelta(minutes=2)
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 30, 60))

FOUND, NOT_FOUND, NO_ANSWER, NOT_ASKED = "found", "not found yet", "no answer", "cannot be asked about"

Reply = HttpResponse | HttpFailure


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """One held message: how often it was asked about, and what is to be found out."""

    message: Claimed
    asked: int
    inquiry: Inquiry | None


def ask_gateways(tools: Tools) -> str:
    """Ask about held messages that were not asked about lately; tells what came of it. Raises Unavailable.

    That a gateway has it is proof; that it finds nothing is none, so it is asked again, ever more seldom,
    until the message's time is up.
    """
    askable = {name: gateway for name, gateway in tools.gateways.items() if isinstance(gateway, Askable)}
    cases = _cases(tools, askable) if askable else []
    if not cases:
        return ""
    replies = _asked(tools, askable, cases)
    counts: dict[str, int] = {}
    for case in cases:
        result = _conclude(tools, askable, case, replies.get(case.message.id))
        counts[result] = counts.get(result, 0) + 1
    return ", ".join(f"{result} {count}" for result, count in sorted(counts.items()))


def _cases(tools: Tools, askable: Mapping[str, Askable]) -> list[_Case]:
    parameters = {"gateways": list(askable), "settled": SETTLED, "limit": AT_A_TIME}
    with unavailable_when_down(), tools.once.connect() as conn:
        rows = run(conn, PACKAGE, "held_to_ask", parameters).all()
    return [_case(tools, row) for row in rows]


def _case(tools: Tools, row: sa.Row[Any]) -> _Case:
    columns: tuple[Any, ...] = row
    held_at, asked = columns[:2]
    message = Claimed._make(columns[2:])
    return _Case(message=message, asked=asked, inquiry=_inquiry(tools, message, held_at))


def _inquiry(tools: Tools, message: Claimed, held_at: datetime) -> Inquiry | None:
    envelope = tools.contents.envelope(message)
    if isinstance(envelope, Outcome):
        return None
    lease = tools.lanes[Priority(message.priority)].lease
    since = held_at - lease - tools.gateway_timeout - MARGIN
    return Inquiry(message=envelope, since=since, until=held_at + MARGIN)


def _asked(tools: Tools, askable: Mapping[str, Askable], cases: Sequence[_Case]) -> dict[int, Reply]:
    waiting: list[tuple[int, HttpRequest]] = [
        (case.message.id, askable[case.message.gateway or ""].inquire(case.inquiry))
        for case in cases
        if case.inquiry
    ]

    def pull(free: int) -> list[tuple[int, HttpRequest]]:
        some = [] if tools.stopping.is_set() else waiting[:free]
        del waiting[: len(some)]
        return some

    return {message: reply for finished in tools.transport().exchange(pull) for message, reply in finished}


def _conclude(tools: Tools, askable: Mapping[str, Askable], case: _Case, reply: Reply | None) -> str:
    """Record what was found, and note that it was asked about; gives what came of it."""
    gateway = case.message.gateway or ""
    seen: list[Sighting] | None = None
    if case.inquiry and isinstance(reply, HttpResponse):
        seen = askable[gateway].sightings(case.inquiry, reply)
    with unavailable_when_down(), tools.engine.begin() as conn:
        found = _own(conn, gateway, case, seen) if seen else None
        recorded = record(conn, tools, _heard(gateway, found)) if found else Recorded()
        result = FOUND if found else _nothing(case, seen)
        _note(conn, case, result)
    for priority, messages in recorded.failed_over.items():
        tools.wake.failover(priority, messages)
    return result


def _nothing(case: _Case, seen: Sequence[Sighting] | None) -> str:
    if case.inquiry is None:
        return NOT_ASKED
    return NO_ANSWER if seen is None else NOT_FOUND


def _own(conn: sa.Connection, gateway: str, case: _Case, seen: Sequence[Sighting]) -> Sighting | None:
    """Choose what is this message's: what bears its name, else what no other message can be.

    Where several are held that went to the same address, as many must be there as are looked for.
    """
    certain = next((each for each in seen if each.certain), None)
    if certain:
        return certain
    table = message_queue.c
    names = [each.external_id for each in seen]
    query = sa.select(table.external_id).where(table.gateway == gateway, table.external_id.in_(names))
    known = set(conn.execute(query).scalars())
    free = [each for each in seen if each.external_id not in known]
    return free[0] if free and len(free) >= _alike(conn, gateway, case.message) else None


def _alike(conn: sa.Connection, gateway: str, message: Claimed) -> int:
    """Count the messages that are held for the same address at the same gateway, this one included."""
    table = message_queue.c
    query = sa.select(sa.func.count()).where(
        sa.func.lower(table.recipient_address) == sa.func.lower(message.recipient_address),
        table.gateway == gateway,
        table.status == Status.HELD,
    )
    return conn.scalar(query) or 0


def _heard(gateway: str, found: Sighting) -> list[Heard]:
    return [
        Heard(gateway=gateway, inbox=None, fact=fact._replace(data={**fact.data, "looked_up": True}))
        for fact in found.facts
    ]


def _note(conn: sa.Connection, case: _Case, result: str) -> None:
    parameters = {
        "ids": numbers([case.message.id]),
        "priorities": texts([case.message.priority]),
        "tries": numbers([case.asked + 1]),
        "results": texts([result]),
        "waits": texts([f"{WAITS[min(case.asked, len(WAITS) - 1)].total_seconds()} s"]),
    }
    run(conn, PACKAGE, "note_lookups", parameters)
