"""Recording facts, many at a time: one look, one change of state, one entry in the log."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from app.db.arrays import numbers, texts
from app.db.sql import run
from app.db.tables import parked_events
from app.domain.decisions import Decision
from app.domain.vocabulary import Priority, Status
from app.queue import PACKAGE
from app.queue.rows import Claimed
from app.services.recording import heard as keeping
from app.services.recording.effects import Effect, Line, effect_of
from app.services.recording.heard import Heard
from app.services.recording.names import count_against_names
from app.services.recording.slowness import Word, words_of
from app.services.sending.tools import Tools
from app.services.suppressing import suppress

# Calling an enum takes ten times as long as this.
_STATUSES = {each.value: each for each in Status}


@dataclass(kw_only=True, slots=True)
class Recorded:
    """What recording came to; `failed_over` are messages to be sent again at once, by lane.

    `delivered` are messages that are delivered now, and since when. `words` is for the pace of gateways,
    and empty where none wants it slower.
    """

    recorded: int = 0
    repeated: int = 0
    parked: int = 0
    failed_over: dict[Priority, list[int]] = field(default_factory=dict)
    delivered: list[tuple[Claimed, str, datetime]] = field(default_factory=list)
    words: tuple[Word, ...] = ()


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
    if not heard:
        return []
    keys = texts([_key(each) for each in heard])
    return [heard[place - 1] for place in run(conn, PACKAGE, "new_facts", {"keys": keys}).scalars()]


def _key(heard: Heard) -> str:
    """Spell a UUID that is the same for the same fact, told by the same gateway."""
    told = f"{heard.gateway}\x1f{heard.fact.key}".encode()
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _apply(conn: sa.Connection, tools: Tools, heard: Sequence[Heard]) -> Recorded:
    if not heard:
        return Recorded()
    effects, strangers = _effects(conn, tools, heard)
    _advance(conn, [effect for effect in effects if effect.decision])
    _log(conn, effects)
    suppress(conn, tools.policy, [blame for effect in effects for blame in effect.blames])
    count_against_names(conn, tools, effects)
    waiting = strangers + [each for effect in effects for each in effect.later]
    _park(conn, waiting)
    result = Recorded(recorded=len(heard) - len(waiting), parked=len(waiting))
    result.words = words_of(tools, effects)
    for effect in effects:
        if effect.decision and effect.decision.at_once:
            lane = result.failed_over.setdefault(Priority(effect.message.priority), [])
            lane.append(effect.message.id)
        if effect.decision and effect.decision.status is Status.DELIVERED and effect.at:
            gateway = effect.decision.gateway or effect.message.gateway or ""
            result.delivered.append((effect.message, gateway, effect.at))
    return result


def _effects(conn: sa.Connection, tools: Tools, heard: Sequence[Heard]) -> tuple[list[Effect], list[Heard]]:
    """Fold facts by message; give also those whose message is not known."""
    rows = run(conn, PACKAGE, "matching", _questions(heard)).all()
    effects = [_folded(tools, row, heard) for row in rows]
    matched = {number for row in rows for number in row[0]}
    return effects, [each for number, each in enumerate(heard) if number not in matched]


def _folded(tools: Tools, row: Sequence[Any], heard: Sequence[Heard]) -> Effect:
    """Fold those facts that are about one message, as it was found, in the order in which they were told."""
    numbers_of_facts, status, error_class, *columns = row
    effecting = effect_of(tools, Claimed._make(columns), _STATUSES[status], error_class)
    for number in numbers_of_facts:
        effecting.add(heard[number])
    return effecting.effect


def _questions(heard: Sequence[Heard]) -> dict[str, str]:
    tags = [each.fact.tag for each in heard]
    return {
        "numbers": numbers(range(len(heard))),
        "uuids": texts([tag.uuid.hex if tag else None for tag in tags]),
        "priorities": texts([tag.priority if tag else None for tag in tags]),
        "gateways": texts([each.gateway for each in heard]),
        "external_ids": texts([each.fact.external_id for each in heard]),
    }


def _advance(conn: sa.Connection, effects: Sequence[Effect]) -> None:
    changes = [_change(effect, effect.decision) for effect in effects if effect.decision]
    _write(conn, "advance", _CHANGED, changes)


# What advance takes, in the order of a change.
_CHANGED = (
    "ids",
    "priorities",
    "found",
    "times",
    "external_ids",
    "statuses",
    "gateways",
    "delays",
    "extensions",
    "rounds",
    "tried",
    "duplicates",
    "errors",
    "error_classes",
)


def _change(effect: Effect, decision: Decision) -> tuple[str | None, ...]:
    return (
        str(effect.message.id),
        effect.message.priority,
        effect.found,
        effect.at.isoformat() if effect.at else None,
        effect.external_id,
        decision.status,
        decision.gateway,
        str(decision.delay.total_seconds()),
        str(decision.extends.total_seconds()),
        str(decision.attempts),
        ",".join(decision.tried),
        "t" if decision.possible_duplicate else "f",
        decision.error,
        decision.error_class,
    )


def _log(conn: sa.Connection, effects: Iterable[Effect]) -> None:
    entries = [_entry(effect.message, line) for effect in effects for line in effect.lines]
    _write(conn, "log_events", _LOGGED, entries)


def _write(
    conn: sa.Connection, statement: str, names: Sequence[str], rows: Sequence[tuple[str | None, ...]]
) -> None:
    """Run a statement that takes its rows as columns, where there are any."""
    if rows:
        columns = map(texts, zip(*rows, strict=True))
        run(conn, PACKAGE, statement, dict(zip(names, columns, strict=True)))


# What log_events takes, in the order of an entry.
_LOGGED = (
    "messages",
    "priorities",
    "event_types",
    "attempts",
    "gateways",
    "outcomes",
    "codes",
    "details",
    "external_ids",
    "sources",
    "external_event_ids",
    "inbox_ids",
    "data",
    "times",
)


def _entry(message: Claimed, line: Line) -> tuple[str | None, ...]:
    says, heard = line.says, line.heard
    return (
        str(message.id),
        message.priority,
        line.event_type,
        str(line.attempt),
        line.gateway,
        says.outcome,
        says.code or None,
        says.detail or None,
        says.external_id,
        heard.gateway if heard else "worker",
        heard.fact.external_event_id if heard else None,
        _number(heard.inbox) if heard else None,
        orjson.dumps(says.data).decode() if says.data else None,
        line.at.isoformat(),
    )


def _number(inbox: int | None) -> str | None:
    return None if inbox is None else str(inbox)


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
