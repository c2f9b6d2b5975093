"""Judging the names of our mail by what was counted under them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import reputations
from app.domain.reputation import Bounds, Level, NameKind, Record, Verdict, judge
from app.domain.vocabulary import Channel
from app.queue import PACKAGE
from app.services import health
from app.services.health import HealthChange, Kind

# A throttled name gets so much of what it sent on average in the day before, but something always.
_THROTTLED_SHARE = 0.5
_LEAST_PER_MINUTE = 10
_MINUTES_A_DAY = 24 * 60

Name = tuple[NameKind, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class NameRecord:
    """What is known of a name: how it was judged (`row`), and what was counted in a day and a week."""

    name: Name
    row: sa.Row[Any] | None
    records: tuple[Record, ...]

    @property
    def level(self) -> Level:
        """How it was judged last."""
        return Level(self.row.level) if self.row else Level.GOOD

    def is_lifted(self, now: datetime) -> bool:
        """Tell whether a person has lifted what follows from it."""
        return bool(self.row and self.row.lifted_until and self.row.lifted_until > now)


def judge_names(engine: sa.Engine, bounds: Bounds, now: datetime) -> tuple[str, ...]:
    """Sum up what was counted, and judge each name anew; gives what has changed. Raises Unavailable."""
    with unavailable_when_down(), engine.begin() as conn:
        run(conn, PACKAGE, "fold_reputation", {})
        changed = [_rejudged(conn, known, bounds, now) for known in read_records(conn)]
    return tuple(words for words in changed if words)


def read_records(conn: sa.Connection) -> list[NameRecord]:
    """Read all names that mail went out under within a week, or that were judged before."""
    known = {_name(row): row for row in conn.execute(sa.select(reputations))}
    sums = {_name(row): row for row in run(conn, PACKAGE, "reputation_sums", {})}
    return [
        NameRecord(name=name, row=known.get(name), records=_records(sums.get(name)))
        for name in sorted(known.keys() | sums.keys())
    ]


def save(conn: sa.Connection, name: Name, values: Mapping[str, Any]) -> None:
    """Write columns of a name's row, which is made where there is none."""
    statement = insert(reputations).values({"kind": name[0], "key": name[1], **values})
    conn.execute(statement.on_conflict_do_update(index_elements=["kind", "key"], set_=dict(values)))


def told(
    name: Name, *, before: str, after: str, reason: str, at: datetime, who: str | None = None
) -> HealthChange:
    """Put a change of a name's reputation into words."""
    return HealthChange(
        kind=Kind.REPUTATION,
        channel=Channel.EMAIL,
        scope=f"{name[0].value}:{name[1]}",
        before=before,
        after=after,
        reason=reason,
        at=at,
        who=who,
    )


def _rejudged(conn: sa.Connection, known: NameRecord, bounds: Bounds, now: datetime) -> str:
    verdict = judge(known.records, bounds, known.level)
    if verdict.level is known.level:
        return ""
    save(conn, known.name, _values(verdict, known, now))
    after = verdict.level.name.lower()
    change = told(
        known.name,
        before=known.level.name.lower(),
        after=after,
        reason=verdict.reason or "too little mail is left to say anything",
        at=now,
    )
    health.note(conn, change)
    return f"{known.name[1]} {after}"


def _values(verdict: Verdict, known: NameRecord, now: datetime) -> Mapping[str, Any]:
    """Say how a name is from now on. How fast it may go is said once, by what it sent before it went slow."""
    sent = known.records[0].sent if known.records else 0
    usual = max(int(sent / _MINUTES_A_DAY * _THROTTLED_SHARE), _LEAST_PER_MINUTE)
    kept = known.row.per_minute if known.row and known.level is not Level.GOOD else None
    return {
        "level": verdict.level.value,
        "reason": verdict.reason,
        "changed_at": now,
        "per_minute": None if verdict.level is Level.GOOD else kept or usual,
    }


def _records(sums: sa.Row[Any] | None) -> tuple[Record, ...]:
    if sums is None:
        return ()
    day = Record(
        window="24 hours", sent=sums.sent_day, bounced=sums.bounced_day, complained=sums.complained_day
    )
    week = Record(
        window="7 days", sent=sums.sent_week, bounced=sums.bounced_week, complained=sums.complained_week
    )
    return day, week


def _name(row: sa.Row[Any]) -> Name:
    return NameKind(row.kind), row.key
