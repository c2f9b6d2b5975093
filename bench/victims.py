"""Killing processes of a running system, and remembering what they were doing."""

import os
import random
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import redis

from app.settings import Settings
from bench.processes import children, family
from bench.system import System
from bench.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

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

_HELD_BY = """
SELECT m.id, m.tries
FROM claims AS c
JOIN message_queue AS m ON m.locked_by = c.uuid AND m.priority = c.priority
WHERE c.state <> 'closed' AND m.status = 'processing' AND split_part(c.worker, ':', 2)::int = ANY (%s)
"""
_UNKNOWN = """
SELECT count(*)
FROM unnest(%s::bigint[], %s::int[]) AS held (id, try)
JOIN delivery_events AS e ON e.message_id = held.id AND e.attempt = held.try AND e.code = 'lapsed'
"""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A kill, the messages that were claimed by whom it hit, and how many requests they may have had out."""

    kind: str
    messages: tuple[tuple[int, int], ...]
    in_flight: int

    @property
    def bound(self) -> int:
        """Tell of how many messages nobody may know at most."""
        return len(self.messages) if "ledger" in self.kind else min(self.in_flight, len(self.messages))


@dataclass
class Victims:
    """Kills processes of one system. What is `spared` is not killed, nor what would take it along."""

    whole: System
    dice: random.Random
    spared: set[int] = field(default_factory=set)
    kills: list[Kill] = field(default_factory=list)

    def kill(self, kind: str) -> None:
        """Kill one process of the kind with signal 9, as soon as there is one."""
        if self.spared and kind == "workers":
            kind = "lane"
        victims: list[int] = []
        until(lambda: victims.extend(self._choose(kind)) or victims, f"a victim: {kind}", within=_BACK_WITHIN)
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if kind == "lane and ledger":
            self._empty_valkey()
        hit = victims if kind in {"lane", "lane and ledger", "workers"} else []
        messages = tuple((row[0], row[1]) for row in self.ask(_HELD_BY, hit)) if hit else ()
        self.kills.append(Kill(kind=kind, messages=messages, in_flight=_most_in_flight(hit, kind)))

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

    def unknown(self) -> list[tuple[Kill, int]]:
        """Tell for each kill of how many messages nobody knew, once all their claims were released."""
        return [(kill, self._unknown(kill)) for kill in self.kills if kill.messages]

    def _unknown(self, kill: Kill) -> int:
        ids, tries = zip(*kill.messages, strict=True)
        return int(self.ask(_UNKNOWN, list(ids), list(tries))[0][0])

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
    """Tell how many requests the killed could have on the wire: the largest lane's, or all lanes'."""
    settings = Settings(_env_file=None)
    threads = [lane.min_threads for lane in settings.lanes.values()]
    busiest: Callable[[list[int]], int] = sum if kind == "workers" else max
    return busiest(threads) * settings.gateway_concurrency if hit else 0
