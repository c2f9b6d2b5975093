"""The limits in force, ready to be looked up for each message."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.tables import isp_domains, rate_limits
from app.domain.isps import known_isp
from app.limits.windows import Limit

# The recipient whose figures are everybody's who has none of his own.
DEFAULT = "default"
_DAY = timedelta(days=1)
_MOST_DOMAINS = 200_000
_LONGEST_WARMUP = 10_000  # days
_SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Warmup:
    """A new pool's first days: so many messages on the first one, then each day more.

    `growth` is "double" (n, 2n, 4n …) or "linear" (n, 2n, 3n …). Days are counted from `started_at`.
    """

    first: int
    growth: str
    started_at: datetime

    def day(self, now: datetime) -> int:
        """Tell which day `now` is in; the first is 1, and so are all before it."""
        return max((now - self.started_at) // _DAY, 0) + 1

    def figure(self, now: datetime) -> int:
        """Tell how many messages the pool may send in the day that `now` is in."""
        return self._on(self.day(now))

    def ends_on_day(self, most: int) -> int:
        """Tell the first day on which the pool may send as many as it may at all."""
        day = 1
        while self._on(day) < most and day < _LONGEST_WARMUP:
            day += 1
        return day

    def _on(self, day: int) -> int:
        grown = 1 << min(day - 1, 40) if self.growth == "double" else day
        return self.first * grown


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRow:
    """One active row of rate_limits, as it holds now."""

    limit_type: str
    limit_key: str
    per_second: int | None
    per_minute: int | None
    per_hour: int | None
    per_day: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitTable:
    """The active rows of rate_limits, as they hold for some seconds from when they were read.

    `growing` are the keys of those that will let more through on another day.
    """

    rows: tuple[LimitRow, ...]
    limits: Mapping[str, Limit]
    recipients: Mapping[str, Limit]
    everybody: Limit | None
    growing: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[LimitRow]:
        return iter(self.rows)

    def find(self, limit_type: str, limit_key: str) -> Limit | None:
        """Give the limit of one thing; None where it has none."""
        return self.limits.get(f"{limit_type}:{limit_key}")

    def for_recipient(self, address: str) -> Limit | None:
        """Give what limits one recipient; addresses are compared as suppressions are."""
        return self.recipients.get(address, self.everybody)

    @property
    def shared(self) -> tuple[Limit, ...]:
        """List all but the recipients'."""
        return tuple(self.limits.values())

    @property
    def single(self) -> tuple[Limit, ...]:
        """List the recipients'."""
        return (*self.recipients.values(), *([self.everybody] if self.everybody else []))


NO_LIMITS = LimitTable(rows=(), limits={}, recipients={}, everybody=None)


def warmup_of(row: sa.Row[Any]) -> Warmup | None:
    """Read a row's warm-up; None where it has none."""
    if row.warmup_first is None:
        return None
    return Warmup(first=row.warmup_first, growth=row.warmup_growth, started_at=row.warmup_started_at)


def limit_of(row: sa.Row[Any], now: datetime) -> Limit:
    """Read a row as it holds now: a pool that is warming up has less of a day."""
    warmup = warmup_of(row)
    limit = Limit(
        key=f"{row.limit_type}:{row.limit_key}",
        per_second=row.max_per_second,
        per_minute=row.max_per_minute,
        per_hour=row.max_per_hour,
        per_day=row.max_per_day,
    )
    if warmup is None:
        return limit
    return replace(limit, per_day=min(row.max_per_day, warmup.figure(now)))


def read_limits(conn: sa.Connection) -> LimitTable:
    """Read the active limits."""
    query = sa.select(rate_limits, sa.func.now().label("now")).where(rate_limits.c.is_active)
    rows = conn.execute(query).all()
    recipients = {row.limit_key: limit_of(row, row.now) for row in rows if row.limit_type == "recipient"}
    shared = (limit_of(row, row.now) for row in rows if row.limit_type != "recipient")
    return LimitTable(
        rows=tuple(_row(row, limit_of(row, row.now)) for row in rows),
        limits={limit.key: limit for limit in shared},
        everybody=recipients.pop(DEFAULT, None),
        recipients=recipients,
        growing=frozenset(f"{row.limit_type}:{row.limit_key}" for row in rows if warmup_of(row)),
    )


def _row(row: sa.Row[Any], limit: Limit) -> LimitRow:
    return LimitRow(
        limit_type=row.limit_type,
        limit_key=row.limit_key,
        per_second=limit.per_second,
        per_minute=limit.per_minute,
        per_hour=limit.per_hour,
        per_day=limit.per_day,
    )


class IspBook:
    """Whose servers take a domain's mail, as far as somebody has looked it up; read on from time to time."""

    def __init__(self) -> None:
        self._isps: dict[str, str] = {}
        self._read_until: datetime | None = None

    def of(self, domain: str) -> str | None:
        """Tell the ISP of a domain; None where it has none that is named, or nobody knows yet."""
        return known_isp(domain) or self._isps.get(domain)

    def read_on(self, conn: sa.Connection) -> "IspBook":
        """Take in what was looked up since the last time; the first time, the newest domains."""
        table = isp_domains.c
        query = sa.select(table.domain, table.isp, table.looked_up_at).order_by(table.looked_up_at.desc())
        if self._read_until is None:
            query = query.limit(_MOST_DOMAINS)
        else:
            # What was looked up before and is committed later must not be missed.
            query = query.where(table.looked_up_at > self._read_until - _SHORTEST)
        rows = conn.execute(query).all()
        self._take_in(rows)
        if rows:
            self._read_until = rows[0].looked_up_at
        return self

    def _take_in(self, rows: Iterable[Any]) -> None:
        for row in rows:
            if row.isp is None:
                self._isps.pop(row.domain, None)
            elif row.domain in self._isps or len(self._isps) < _MOST_DOMAINS:
                self._isps[row.domain] = row.isp
