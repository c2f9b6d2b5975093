"""What was tried at gateways lately, as PostgreSQL knows it, read a short stretch of time at once."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.db.sql import run
from app.domain.routing import POOLS
from app.domain.vocabulary import MessageType
from app.limits.windows import Limit, Window
from app.queue import PACKAGE
from app.services.limit_table import IspBook, LimitTable
from app.services.recipient_words import recipient_word

# Recipients' counts are looked for so far back and no further: there are as many as messages.
_RECIPIENTS = timedelta(hours=1)
_MOST_RECIPIENTS = 200_000
# Nobody knows how much went out when: the stretch that one statement reads grows while that is quick.
_FIRST, _LONGEST = timedelta(seconds=5), timedelta(hours=1)
_QUICK, _SLOW = 0.3, 1.5  # seconds

Times = Counter[datetime]


def reach(limit: Limit) -> timedelta:
    """Tell how far back a limit's windows look; nothing for one that has none."""
    windows = [window for window, _ in limit.windows()]
    return max((window.length + bucket_of(window) for window in windows), default=timedelta(0))


def bucket_of(window: Window) -> timedelta:
    """Tell how long one bucket of a window is."""
    return timedelta(milliseconds=window.width)


@dataclass(kw_only=True, slots=True)
class Tally:
    """What is counted of each limit, and since when the rest is to be: no statement reads further back."""

    table: LimitTable
    isps: IspBook
    counted: dict[Limit, Times]
    since: dict[Limit, datetime]

    def read_on(self, conn: sa.Connection, until: datetime) -> int:
        """Add the tries up to then, each limit's from its own time on; gives how many were found."""
        found = 0
        for row in _stretches(conn, "tries_between", min(self.since.values(), default=until), until):
            found += row.tries
            for kind, key, count in _places(row, self.isps):
                limit = self.table.find(kind, key)
                if limit is not None and limit in self.since and row.ends_at > self.since[limit]:
                    self.counted[limit][row.ends_at] += count
        self.since = dict.fromkeys(self.since, until)
        return found


def tries_of(
    conn: sa.Connection, isps: IspBook, limit: Limit, since: datetime, until: datetime
) -> list[tuple[datetime, int]]:
    """Tell what was tried under one limit in a stretch of time, by the second."""
    times: Times = Counter()
    for row in _stretches(conn, "tries_between", since, until):
        for kind, key, count in _places(row, isps):
            if f"{kind}:{key}" == limit.key:
                times[row.ends_at] += count
    return list(times.items())


def recipients_tried(
    conn: sa.Connection, table: LimitTable, until: datetime
) -> dict[tuple[str, Limit], Times]:
    """Count what each recipient was sent in the last hour, or in a shorter time that is the longest window.

    The latest tries count, where there were too many for all.
    """
    longest = min(max(map(reach, table.single), default=timedelta(0)), _RECIPIENTS)
    found: dict[tuple[str, Limit], Times] = defaultdict(Counter)
    left = _MOST_RECIPIENTS
    for row in _stretches(conn, "recipients_between", until - longest, until, limit=_MOST_RECIPIENTS):
        limit = table.for_recipient(row.address)
        if limit:
            found[recipient_word(row.address), limit][row.recorded_at] += 1
        left -= 1
        if not left:
            break
    return found


def _stretches(
    conn: sa.Connection, name: str, since: datetime, until: datetime, **parameters: object
) -> Iterator[sa.Row[Any]]:
    """Read from the newest to the oldest; no statement reads more than what is quick."""
    length = _FIRST
    while since < until:
        begin = max(since, until - length)
        begun_at = time.monotonic()
        rows = run(conn, PACKAGE, name, {"since": begin, "until": until, **parameters}).all()
        took = time.monotonic() - begun_at
        yield from rows
        until = begin
        length = _next(length, took)


def _next(length: timedelta, took: float) -> timedelta:
    if took > _SLOW:
        return max(length / 4, timedelta(seconds=1))
    return min(2 * length, _LONGEST) if took < _QUICK else length


def _places(row: sa.Row[Any], isps: IspBook) -> Iterator[tuple[str, str, int]]:
    """Name all that limits may be about in some tries, with how many count there."""
    yield "gateway", row.gateway, row.tries
    yield "ip_pool", row.ip_pool or POOLS[MessageType(row.message_type)], row.reached
    if row.domain:
        yield "domain", row.domain, row.reached
        isp = isps.of(row.domain)
        if isp:
            yield "isp", isp, row.reached
