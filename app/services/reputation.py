"""The reputation of our mail's names: showing it, and lifting what follows for campaigns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.domain.reputation import Level, NameKind, Record, Restraint, restraint
from app.domain.vocabulary import Priority
from app.errors import Invalid, NotFound
from app.services import health
from app.services.audit import Who, record
from app.services.catalog import Catalog
from app.services.gateway_rows import require_why
from app.services.judging import NameRecord, read_records, save, told

LONGEST_LIFT = timedelta(days=7)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReputationView:
    """One name: what happened under it in a day and a week, and what campaigns (P3) and newsletters suffer.

    `lifted_until` is set where a person has lifted that for a time.
    """

    kind: NameKind
    key: str
    level: Level
    reason: str
    campaigns: Restraint | None
    newsletters: Restraint | None
    per_minute: int | None
    changed_at: datetime | None
    sent_24h: int
    bounce_rate_24h: float | None
    complaint_rate_24h: float | None
    sent_7d: int
    bounce_rate_7d: float | None
    complaint_rate_7d: float | None
    lifted_until: datetime | None
    lifted_by: str | None
    lifted_why: str | None


class ReputationService:
    """Looking at names and lifting restraints; each call raises Unavailable where PostgreSQL is down."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._catalog = catalog
        self._now = now

    def list(self) -> tuple[ReputationView, ...]:
        """List all names that mail went out under within a week, those in danger first."""
        with unavailable_when_down(), self._engine.connect() as conn:
            records = read_records(conn)
        found = [_view(each, self._now()) for each in records]
        return tuple(sorted(found, key=lambda view: (-view.level, view.kind, view.key)))

    def get(self, kind: NameKind, key: str) -> ReputationView:
        """Give one name; raises NotFound."""
        for view in self.list():
            if (view.kind, view.key) == (kind, key):
                return view
        raise NotFound("no mail went out under this name within a week")

    def lift(
        self, who: Who, kind: NameKind, key: str, *, why: str, length: timedelta = timedelta(hours=24)
    ) -> ReputationView:
        """Let campaigns go for a time, whatever is counted; what waits comes by itself within half an hour.

        Raises NotFound, and Invalid without a reason or for more than a week.
        """
        require_why(why)
        if not timedelta(0) < length <= LONGEST_LIFT:
            raise Invalid.of("hours", f"must be more than 0, {LONGEST_LIFT // timedelta(hours=1)} at most")
        before = self.get(kind, key)
        until = self._now() + length
        values = {"lifted_until": until, "lifted_by": who.actor, "lifted_why": why}
        with unavailable_when_down(), self._engine.begin() as conn:
            save(conn, (kind, key), values)
            after = {"lifted_until": until.isoformat()}
            target = f"reputation:{kind}/{key}"
            record(conn, who, "reputation.lift", target, before={"level": before.level}, after=after, why=why)
            was = before.level.name.lower()
            change = told((kind, key), before=was, after="lifted", reason=why, at=self._now(), who=who.actor)
            health.note(conn, change)
        self._catalog.changed()
        return self.get(kind, key)


def _view(known: NameRecord, now: datetime) -> ReputationView:
    row, lifted = known.row, known.is_lifted(now)
    felt = Level.GOOD if lifted else known.level
    day, week = known.records or (_NOTHING, _NOTHING)
    return ReputationView(
        kind=known.name[0],
        key=known.name[1],
        level=known.level,
        reason=row.reason if row else "",
        campaigns=restraint(Priority.P3, felt),
        newsletters=restraint(Priority.P2, felt),
        per_minute=row.per_minute if row else None,
        changed_at=row.changed_at if row else None,
        sent_24h=day.sent,
        bounce_rate_24h=_rate(day.bounced, day.sent),
        complaint_rate_24h=_rate(day.complained, day.sent),
        sent_7d=week.sent,
        bounce_rate_7d=_rate(week.bounced, week.sent),
        complaint_rate_7d=_rate(week.complained, week.sent),
        lifted_until=row.lifted_until if row and lifted else None,
        lifted_by=row.lifted_by if row and lifted else None,
        lifted_why=row.lifted_why if row and lifted else None,
    )


_NOTHING = Record(window="", sent=0, bounced=0, complained=0)


def _rate(count: int, of: int) -> float | None:
    return count / of if of else None
