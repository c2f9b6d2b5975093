"""Holding what the gateways took against what we believe, message by message, by uuid."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.gateways import Gateways
from bench.results import Result

_ROWS = """
SELECT m.uuid::text, m.priority, m.status, m.possible_duplicate OR EXISTS (
    SELECT FROM delivery_events AS e WHERE e.message_id = m.id AND e.data ->> 'possible_duplicate' = 'true')
FROM message_queue AS m
"""
# What these say is that a gateway has taken the message.
_TAKEN = {"sent", "delivered", "bounced"}
_EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Account:
    """What became of everything that was accepted from callers, when all has come to rest.

    `lost` never came to a gateway, though we do not say that we do not know. `doubled` came twice,
    `unmarked` of these without a word that this might be. `repeated` is the same try that came twice.
    `held` did not come, and we say that we do not know; `unproven` likewise came. `miscounted` came and
    we say that they did not, or the other way round. `strangers` came and are not ours.
    """

    accepted: int
    arrived: int
    states: dict[str, int]
    lost: tuple[str, ...]
    doubled: int
    unmarked: tuple[str, ...]
    repeated: tuple[str, ...]
    held: int
    unproven: int
    miscounted: tuple[str, ...]
    strangers: tuple[str, ...]

    def report(self, result: Result, name: str = "") -> None:
        """Put the account into a bench's result."""
        head = f"{name}: " if name else ""
        result.add(f"{head}lost", "messages", len(self.lost), at_most=0)
        result.add(f"{head}doubled, unmarked", "messages", len(self.unmarked), at_most=0)
        result.add(f"{head}one try, twice there", "messages", len(self.repeated), at_most=0)
        result.add(f"{head}doubled, marked", "messages", self.doubled - len(self.unmarked))
        result.add(f"{head}held, not at the gateway", "messages", self.held)
        result.add(f"{head}held, at the gateway", "messages", self.unproven)
        result.add(
            f"{head}our count differs", "messages", len(self.miscounted) + len(self.strangers), at_most=0
        )
        states = ", ".join(f"{count:,} {status}" for status, count in sorted(self.states.items()))
        result.note(f"{head}{self.accepted:,} accepted, {self.arrived:,} at the gateways; {states}")
        for word in ("lost", "unmarked", "repeated", "miscounted", "strangers"):
            if found := getattr(self, word):
                result.note(f"{head}{word}: {', '.join(found[:_EXAMPLES])}")


def account(database: psycopg.Connection, gateways: Gateways, accepted: Iterable[str] = ()) -> Account:
    """Compare. `accepted` are uuids that callers were told; they must all be known."""
    rows = {row[0]: row[1:] for row in database.execute(_ROWS)}
    tries = _tries(gateways)
    lost = [uuid for uuid, row in rows.items() if uuid not in tries and row[1] != "held"]
    lost += [uuid for uuid in accepted if uuid not in rows]
    doubled = [uuid for uuid, counts in tries.items() if counts.total() > 1]
    return Account(
        accepted=len(rows),
        arrived=len(tries),
        states=dict(Counter(row[1] for row in rows.values())),
        lost=tuple(lost),
        doubled=len(doubled),
        unmarked=tuple(uuid for uuid in doubled if uuid in rows and not rows[uuid][2]),
        repeated=tuple(uuid for uuid in doubled if max(tries[uuid].values()) > 1),
        held=sum(row[1] == "held" and uuid not in tries for uuid, row in rows.items()),
        unproven=sum(row[1] == "held" and uuid in tries for uuid, row in rows.items()),
        miscounted=tuple(
            uuid for uuid, row in rows.items() if row[1] != "held" and (row[1] in _TAKEN) != (uuid in tries)
        ),
        strangers=tuple(tries.keys() - rows.keys()),
    )


def _tries(gateways: Gateways) -> dict[str, Counter[int]]:
    """Count, by uuid, how often each try arrived."""
    tries: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for entry in gateways.entries():
        tries[entry["uuid"]][entry["attempt"]] += 1
    return dict(tries)


def open_messages(database: psycopg.Connection) -> int:
    """Count the messages that are still on their way."""
    row: Any = database.execute(
        "SELECT count(*) FROM message_queue WHERE status IN ('pending', 'processing')"
    ).fetchone()
    return int(row[0])
