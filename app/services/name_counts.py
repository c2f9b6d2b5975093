"""Counting what happens under the names of our mail: sending domains and IP pools."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.addresses import domain_of
from app.domain.reputation import NameKind
from app.domain.routing import POOLS
from app.domain.vocabulary import MessageType
from app.errors import Unavailable
from app.queue import PACKAGE
from app.queue.rows import Claimed

# What was sent may be told late: a rate over a day does not feel it.
TOLD_WITHIN = 5.0  # seconds

Name = tuple[NameKind, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Counts by name."""

    sent: Counter[Name]
    bounced: Counter[Name]
    complained: Counter[Name]

    @classmethod
    def empty(cls) -> "Tally":
        """Begin to count."""
        return cls(sent=Counter(), bounced=Counter(), complained=Counter())

    def add(self, other: "Tally") -> None:
        """Add what another has counted."""
        self.sent.update(other.sent)
        self.bounced.update(other.bounced)
        self.complained.update(other.complained)

    def __bool__(self) -> bool:
        """Tell whether anything was counted."""
        return bool(self.sent or self.bounced or self.complained)


class NameCounts:
    """Gathers what a process's threads sent, and writes it down every few seconds.

    A process that is killed takes a few seconds' counts with it, which changes no rate.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._tally = Tally.empty()
        self._since = time.monotonic()
        self._lock = threading.Lock()

    def add(self, tally: Tally, *, at_once: bool = False) -> None:
        """Take counts in, and write all down where it is time, or `at_once`; never raises Unavailable."""
        with self._lock:
            self._tally.add(tally)
            if not self._tally or not (at_once or time.monotonic() - self._since > TOLD_WITHIN):
                return
            due, self._tally = self._tally, Tally.empty()
            self._since = time.monotonic()
        try:
            with unavailable_when_down(), self._engine.connect() as conn:
                write(conn, due)
        except Unavailable:
            with self._lock:
                self._tally.add(due)


def names_of(message: Claimed, sender: str | None) -> tuple[Name, ...]:
    """Name what mailbox providers know this mail by: its pool, and its sender's domain where it has one."""
    pool = message.ip_pool or POOLS[MessageType(message.message_type)]
    of_pool = (NameKind.IP_POOL, pool)
    return ((NameKind.DOMAIN, domain_of(sender)), of_pool) if sender else (of_pool,)


def write(conn: sa.Connection, tally: Tally) -> None:
    """Write counts down, in the caller's transaction."""
    names = sorted(tally.sent.keys() | tally.bounced.keys() | tally.complained.keys())
    if not names:
        return
    columns = {"sent": tally.sent, "bounced": tally.bounced, "complained": tally.complained}
    parameters = {"kinds": [kind.value for kind, _ in names], "keys": [key for _, key in names]}
    counts = {column: [counter[name] for name in names] for column, counter in columns.items()}
    run(conn, PACKAGE, "count_names", parameters | counts)
