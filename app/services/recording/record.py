"""Recording facts, many at a time: one look, one change of state, one entry in the log."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import sqlalchemy as sa

from app.db.sql import run
from app.db.tables import parked_events
from app.domain.decisions import Decision
from app.domain.vocabulary import Priority, Status
from app.queue import PACKAGE
from app.queue.rows import Claimed
from app.services.recording import heard as keeping
from app.services.recording.effects import Effect, Effecting, Line, effect_of
from app.services.recording.heard import Heard
from app.services.sending.tools import Tools
from app.services.suppressing import suppress


@dataclass(kw_only=True, slots=True)
class Recorded:
    """What recording came to; `failed_over` are messages to be sent again at once, by lane."""

    recorded: int = 0
    repeated: int = 0
    parked: int = 0
    failed_over: dict[Priority, list[int]] = field(default_factory=dict)


def record(conn: sa.Connection, tools: Tools, heard: Sequence[Heard]) -> Recorded:
    """Record facts that were not told before; what finds no message is parked. Commit afterwards."""
    new = _only_new(conn, heard)
    result = _apply(conn, tools, new)
    result.repeated = len(heard) - len(new)
    return result


def record_parked(conn: sa.Connection, tools: Tools, *, waited: timedelta, limit: int) -> Recorded:
    """Record parked facts whose message is there by now."""
    rows = run(conn, PACKAGE, "unpark", {"waited": waited, "limit": limit}).all()
    conn.execute(sa.delete(parked_events).where(parked_events.c.id.in_([row.id for row in rows])))
    heard = [Heard(gateway=row.gateway, inbox=row.inbox_id, fact=keeping.read(row.fact)) for row in rows]
    return _apply(conn, tools, heard)


def _only_new(conn: sa.Connection, heard: Sequence[Heard]) -> list[Heard]:
    by_key = {_key(each): each for each in reversed(heard)}
    new = {row.key for row in run(conn, PACKAGE, "new_event_keys", {"keys": list(by_key)})}
    return [each for key, each in reversed(by_key.items()) if key in new]


def _key(heard: Heard) -> UUID:
    told = f"{heard.gateway}\x1f{heard.fact.key}".encode()
    return UUID(bytes=hashlib.blake2b(told, digest_size=16).digest())


def _apply(conn: sa.Connection, tools: Tools, heard: Sequence[Heard]) -> Recorded:
    if not heard:
        return Recorded()
    effects, strangers = _effects(conn, tools, heard)
    _advance(conn, [effect for effect in effects if effect.decision])
    _log(conn, effects)
    suppress(conn, tools.policy, [blame for effect in effects for blame in effect.blames])
    waiting = strangers + [each for effect in effects for each in effect.later]
    _park(conn, waiting)
    result = Recorded(recorded=len(heard) - len(waiting), parked=len(waiting))
    for effect in effects:
        if effect.decision and effect.decision.at_once:
            lane = result.failed_over.setdefault(Priority(effect.message.priority), [])
            lane.append(effect.message.id)
    return result


def _effects(conn: sa.Connection, tools: Tools, heard: Sequence[Heard]) -> tuple[list[Effect], list[Heard]]:
    """Fold facts by message; give also those whose message is not known."""
    by_message: dict[int, Effecting] = {}
    matched = set()
    for row in run(conn, PACKAGE, "matching", _questions(heard)):
        columns: tuple[Any, ...] = row
        number, status, error_class = columns[:3]
        message = Claimed._make(columns[3:])
        if message.id not in by_message:
            by_message[message.id] = effect_of(tools, message, Status(status), error_class)
        by_message[message.id].add(heard[number])
        matched.add(number)
    strangers = [each for number, each in enumerate(heard) if number not in matched]
    return [by_message[message].effect for message in sorted(by_message)], strangers


def _questions(heard: Sequence[Heard]) -> dict[str, list[Any]]:
    tags = [each.fact.tag for each in heard]
    return {
        "numbers": list(range(len(heard))),
        "uuids": [tag.uuid if tag else None for tag in tags],
        "priorities": [tag.priority.value if tag else None for tag in tags],
        "gateways": [each.gateway for each in heard],
        "external_ids": [each.fact.external_id for each in heard],
    }


def _advance(conn: sa.Connection, effects: Sequence[Effect]) -> None:
    if not effects:
        return
    decisions = [effect.decision for effect in effects if effect.decision]
    parameters = {
        "ids": [effect.message.id for effect in effects],
        "priorities": [effect.message.priority for effect in effects],
        "found": [effect.found.value for effect in effects],
        "times": [effect.at for effect in effects],
        "external_ids": [effect.external_id for effect in effects],
        **_columns(decisions),
    }
    run(conn, PACKAGE, "advance", parameters)


def _columns(decisions: Sequence[Decision]) -> dict[str, list[Any]]:
    return {
        "statuses": [decision.status.value for decision in decisions],
        "gateways": [decision.gateway for decision in decisions],
        "delays": [decision.delay for decision in decisions],
        "extensions": [decision.extends for decision in decisions],
        "rounds": [decision.attempts for decision in decisions],
        "tried": [",".join(decision.tried) for decision in decisions],
        "duplicates": [decision.possible_duplicate for decision in decisions],
        "errors": [decision.error for decision in decisions],
        "error_classes": [decision.error_class and decision.error_class.value for decision in decisions],
    }


def _log(conn: sa.Connection, effects: Iterable[Effect]) -> None:
    lines = [(effect.message, line) for effect in effects for line in effect.lines]
    if lines:
        run(conn, PACKAGE, "log_events", _entries(lines))


def _entries(lines: Sequence[tuple[Claimed, Line]]) -> dict[str, list[Any]]:
    events = [line.event for _, line in lines]
    behind = [line.heard for _, line in lines]
    return {
        "messages": [message.id for message, _ in lines],
        "priorities": [message.priority for message, _ in lines],
        "event_types": [event.event_type.value for event in events],
        "attempts": [line.attempt for _, line in lines],
        "gateways": [event.gateway for event in events],
        "outcomes": [event.outcome and event.outcome.value for event in events],
        "codes": [event.code or None for event in events],
        "details": [event.detail or None for event in events],
        "external_ids": [event.external_id for event in events],
        "sources": [heard.gateway if heard else "worker" for heard in behind],
        "external_event_ids": [heard.fact.external_event_id if heard else None for heard in behind],
        "inbox_ids": [heard.inbox if heard else None for heard in behind],
        "data": [orjson.dumps(event.data).decode() if event.data else None for event in events],
        "times": [line.at for _, line in lines],
    }


def _park(conn: sa.Connection, heard: Sequence[Heard]) -> None:
    if not heard:
        return
    parameters = {
        "gateways": [each.gateway for each in heard],
        "uuids": [each.uuid for each in heard],
        "external_ids": [each.fact.external_id for each in heard],
        "inbox_ids": [each.inbox for each in heard],
        "facts": [keeping.spell(each.fact) for each in heard],
    }
    run(conn, PACKAGE, "park", parameters)
