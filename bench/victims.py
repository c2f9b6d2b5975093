"""Killing processes of a running system, and remembering what they were doing."""

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import redis

from actors.crews import Crew, crews
from app.domain.vocabulary import Priority
from app.settings import Settings
from bench.processes import children, family
from bench.system import System
from bench.waiting import until
from bench.wake import wake_of

# Of ten kills: most hit a lane's workers; with one of these Valkey is emptied, in the same moment.
PLAN = (
    "lane",
    "lane",
    "lane",
    "lane",
    "lane and ledger",
    "workers",
    "web",
    "scheduler",
    "valkey",
    "postgres",
)
_BACK_WITHIN = 90.0
# Living workers have written their ledger again so long after it was lost.
_WRITTEN_AGAIN = 10.0

_HELD_BY = """
SELECT m.id, m.tries
FROM claims AS c
JOIN message_queue AS m ON m.locked_by = c.uuid AND m.priority = c.priority
WHERE c.state <> 'closed' AND m.status = 'processing' AND split_part(c.worker, ':', 2)::int = ANY (%s)
  -- What it was releasing belongs to an earlier kill.
  AND c.worker NOT LIKE '%% release'
"""
_LAPSE = """
UPDATE claims
SET lease_until = now() - interval '1 second', created_at = created_at - interval '1 hour'
WHERE state <> 'closed' AND split_part(worker, ':', 2)::int = ANY (%s)
RETURNING priority
"""
_UNKNOWN = """
SELECT count(*), extract(epoch FROM max(e.recorded_at))::float8
FROM unnest(%s::bigint[], %s::int[]) AS held (id, try)
JOIN delivery_events AS e ON e.message_id = held.id AND e.attempt = held.try AND e.code = 'lapsed'
"""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A kill, the messages that were claimed by whom it hit, and how many requests they may have had out.

    `unknown` is of how many nobody knew, once the claims were released; `had_ledger` whether there was a
    ledger all that time.
    """

    kind: str
    at: float
    messages: tuple[tuple[int, int], ...]
    in_flight: int
    unknown: int = 0
    had_ledger: bool = True

    @property
    def bound(self) -> int:
        """Tell of how many messages nobody may know at most."""
        claimed = len(self.messages)
        return min(self.in_flight, claimed) if self.had_ledger else claimed


@dataclass
class Victims:
    """Kills processes of one system. What is `spared` is not killed with the lanes.

    Leases of dead workers `lapse` at once, unless they are to be waited for: to all others it looks the
    same, only sooner.
    """

    whole: System
    dice: random.Random
    lapse: bool
    spared: set[int] = field(default_factory=set)
    kills: list[Kill] = field(default_factory=list)
    _ledger_lost: list[float] = field(default_factory=list)

    def kill(self, kind: str) -> None:
        """Kill one process of the kind with signal 9, as soon as there is one."""
        victims: list[int] = []

        def chosen() -> bool:
            victims[:] = self._choose(kind)
            return bool(victims)

        until(chosen, f"a victim: {kind}", within=_BACK_WITHIN)
        at = time.time()
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind == "lane and ledger":
            self._empty_valkey()
        if kind in {"lane and ledger", "valkey"}:
            self._ledger_lost.append(at)
        hit = victims if kind in {"lane", "lane and ledger", "workers"} else []
        messages = tuple((row[0], row[1]) for row in self.ask(_HELD_BY, hit)) if hit else ()
        self.kills.append(Kill(kind=kind, at=at, messages=messages, in_flight=_most_in_flight(hit, kind)))
        if hit and self.lapse:
            self._lapse(hit)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL, and wait for it where it is down."""
        found: list[tuple[Any, ...]] = []

        def asked() -> bool:
            with suppress(psycopg.OperationalError), self.whole.connect() as database:
                found.extend(database.execute(query.encode(), values).fetchall())
                return True
            return False

        until(asked, "PostgreSQL answers", within=_BACK_WITHIN)
        return found

    def judged(self) -> list[Kill]:
        """Give the kills that hit somebody with a claim, once all these claims were released."""
        return [self._judged(kill) for kill in self.kills if kill.messages]

    def _judged(self, kill: Kill) -> Kill:
        ids, tries = zip(*kill.messages, strict=True)
        unknown, released_at = self.ask(_UNKNOWN, list(ids), list(tries))[0]
        until_then = released_at or kill.at
        lost = any(kill.at - _WRITTEN_AGAIN < at < until_then for at in self._ledger_lost)
        return replace(kill, unknown=unknown, had_ledger=not lost)

    def _lapse(self, hit: list[int]) -> None:
        for (priority,) in self.ask(_LAPSE, hit):
            wake_of(self.whole.variables()).release(Priority(priority))

    def _choose(self, kind: str) -> list[int]:
        part = self.whole.part(kind if kind in {"web", "scheduler", "valkey", "postgres"} else "workers")
        if part is None:
            return []
        if kind == "web":
            return [self.dice.choice(family(part))]
        if kind == "workers":
            return [part, *children(part)]
        if kind.startswith("lane"):
            there = [pid for pid in children(part) if pid not in self.spared]
            return self.dice.sample(there, min(len(there), 1))
        return [part]

    def _empty_valkey(self) -> None:
        def emptied() -> bool:
            with suppress(redis.RedisError), self.whole.redis() as client:
                return bool(client.flushall())
            return False

        until(emptied, "Valkey is emptied", within=_BACK_WITHIN)


def _most_in_flight(hit: list[int], kind: str) -> int:
    """Tell how many requests the killed could have on the wire: the largest process', or all lanes'."""
    if not hit:
        return 0
    settings = Settings(_env_file=None)
    whole = kind == "workers"
    found = [_most_of(crew, settings.gateway_concurrency, whole=whole) for crew in crews(settings)]
    return sum(found) if whole else max(found)


def _most_of(crew: Crew, concurrency: int, *, whole: bool) -> int:
    threads = crew.lane.max_threads if crew.lane and whole else crew.most
    return min(threads * concurrency, crew.connections)
