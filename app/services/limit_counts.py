"""What rate limits have counted: kept in PostgreSQL, and counted anew after Redis was lost."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from app.db.arrays import numbers, texts
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import rate_windows
from app.domain.routing import POOLS
from app.domain.vocabulary import MessageType
from app.limits.tokens import Limit, Window
from app.queue import PACKAGE
from app.services.limit_events import forget_events
from app.services.limit_table import IspBook, LimitTable
from app.services.recipient_words import recipient_word
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# Other processes add what they hold within this time; tokens are taken again after it.
SETTLING = timedelta(seconds=3)
# No window reaches further back.
_LONGEST = timedelta(hours=25)
# Recipients' counts are looked for so far back and no further: there are as many as messages.
_RECIPIENTS = timedelta(hours=1)
_MOST_RECIPIENTS = 200_000


def save(tools: Tools) -> int:
    """Write down what each limit's windows hold; gives how many limits. Raises Unavailable.

    Windows slide, so a reset is when all that was counted by now will have left. Limits for each recipient
    have a counter for each recipient and none of their own; they are left out. Counts that are lost are
    not written down, but counted anew.
    """
    if tools.tokens is None:
        return 0
    limits = tools.catalog.limits().shared
    with unavailable_when_down(), tools.once.connect() as conn:
        # Before they are read: what is sent meanwhile may be counted twice, but never not at all.
        as_of = conn.scalar(sa.select(sa.func.now()))
    held = tools.tokens.dump(limits)
    if held is None:
        recount(tools)
        return 0
    with unavailable_when_down(), tools.engine.begin() as conn:
        run(conn, PACKAGE, "save_counts", _sums(limits, held))
        run(conn, PACKAGE, "save_windows", {"as_of": as_of, **_windows(held)})
        forget_events(conn)
    if tools.paces is not None:
        tools.paces.tidy()
    return len(limits)


def recount(tools: Tools) -> bool:
    """Count anew what was sent, as PostgreSQL knows it; False where another process does so already.

    What was kept last, and each try since. Raises Unavailable.
    """
    if tools.tokens is None or not tools.tokens.begin_recount():
        return False
    table, isps = tools.catalog.limits(), tools.catalog.isps()
    with unavailable_when_down(), tools.engine.connect() as conn:
        snapshot = conn.scalar(sa.select(sa.func.now())) or datetime.now(UTC)
        since, shared = _kept(conn, table, snapshot)
        tries = _add_tries(conn, table, isps, shared, since)
        recipients = _recipients(conn, table, snapshot)
        others = _others_send(conn, tools.worker)
    tools.tokens.recount(
        {limit: list(times.items()) for limit, times in shared.items()},
        {place: list(times.items()) for place, times in recipients.items()},
        snapshot=snapshot,
        settling=SETTLING if others else timedelta(0),
    )
    log.warning("rate limits counted anew", since=since.isoformat(), tries=tries, limits=len(shared))
    return True


def sent_lately(
    conn: sa.Connection, isps: IspBook, limit: Limit, since: datetime
) -> list[tuple[datetime, int]]:
    """Tell what was sent under one limit since a time, as PostgreSQL knows it, by the second."""
    times: Counter[datetime] = Counter()
    for row in run(conn, PACKAGE, "tries_since", {"since": since}):
        for kind, key, count in _places(row, isps):
            if (kind, key) == _place(limit):
                times[row.until] += count
    return list(times.items())


def _sums(
    limits: Iterable[Limit], held: Mapping[tuple[Limit, Window], list[tuple[int, int]]]
) -> dict[str, list[Any]]:
    def in_window(limit: Limit, window: Window) -> int:
        return sum(count for _, count in held.get((limit, window), ()))

    names = [_place(limit) for limit in limits]
    return {
        "types": [kind for kind, _ in names],
        "keys": [key for _, key in names],
        "in_hours": [in_window(limit, Window.HOUR) for limit in limits],
        "in_days": [in_window(limit, Window.DAY) for limit in limits],
    }


def _windows(held: Mapping[tuple[Limit, Window], list[tuple[int, int]]]) -> dict[str, str]:
    places = [(*_place(limit), window.name.lower(), some) for (limit, window), some in held.items()]
    return {
        "types": texts(kind for kind, _, _, _ in places),
        "keys": texts(key for _, key, _, _ in places),
        "windows": texts(window for _, _, window, _ in places),
        "times": texts(numbers(time for time, _ in some) for *_, some in places),
        "counts": texts(numbers(count for _, count in some) for *_, some in places),
    }


def _kept(
    conn: sa.Connection, table: LimitTable, snapshot: datetime
) -> tuple[datetime, dict[Limit, Counter[datetime]]]:
    """Read what was kept last; gives since when tries have to be counted.

    All windows of a limit hold the same tokens as far as they reach, so the longest one's are read, and
    those of the shorter ones where they begin.
    """
    shared: dict[Limit, Counter[datetime]] = defaultdict(Counter)
    since = snapshot - _LONGEST
    by_limit: dict[Limit, list[sa.Row[Any]]] = defaultdict(list)
    for row in conn.execute(sa.select(rate_windows)):
        limit = table.find(row.limit_type, row.limit_key)
        since = max(since, row.saved_at)
        if limit:
            by_limit[limit].append(row)
    for limit, rows in by_limit.items():
        shared[limit] = _finest(rows)
    return since, shared


def _finest(rows: Iterable[sa.Row[Any]]) -> Counter[datetime]:
    """Put a limit's windows together: each moment as the shortest window that reaches it has it."""
    times: Counter[datetime] = Counter()
    reached: datetime | None = None
    for row in sorted(rows, key=lambda row: Window[row.window.upper()].width):
        window = Window[row.window.upper()]
        for time, count in zip(row.times, row.counts, strict=True):
            begin = datetime.fromtimestamp(time / 1000, UTC)
            if reached is None or begin < reached:
                times[begin] += count
        began = row.saved_at - window.length
        reached = began if reached is None else min(began, reached)
    return times


def _add_tries(
    conn: sa.Connection,
    table: LimitTable,
    isps: IspBook,
    shared: dict[Limit, Counter[datetime]],
    since: datetime,
) -> int:
    found = 0
    for row in run(conn, PACKAGE, "tries_since", {"since": since}):
        found += row.tries
        for kind, key, count in _places(row, isps):
            limit = table.find(kind, key)
            if limit:
                shared[limit][row.until] += count
    return found


def _places(row: sa.Row[Any], isps: IspBook) -> Iterator[tuple[str, str, int]]:
    """Name all that limits may be about in some tries, with how many count there."""
    yield "gateway", row.gateway, row.tries
    yield "ip_pool", row.ip_pool or POOLS[MessageType(row.message_type)], row.reached
    if row.domain:
        yield "domain", row.domain, row.reached
        isp = isps.of(row.domain)
        if isp:
            yield "isp", isp, row.reached


def _recipients(
    conn: sa.Connection, table: LimitTable, snapshot: datetime
) -> dict[tuple[str, Limit], Counter[datetime]]:
    longest = max((window.length for limit in table.single for window, _ in limit.windows()), default=None)
    if longest is None:
        return {}
    parameters = {"since": snapshot - min(longest, _RECIPIENTS), "limit": _MOST_RECIPIENTS}
    found: dict[tuple[str, Limit], Counter[datetime]] = defaultdict(Counter)
    for row in run(conn, PACKAGE, "recipients_since", parameters):
        limit = table.for_recipient(row.address)
        if limit:
            found[recipient_word(row.address), limit][row.recorded_at] += 1
    return found


def _others_send(conn: sa.Connection, worker: str) -> bool:
    """Tell whether another process may hold tokens now."""
    return bool(run(conn, PACKAGE, "others_send", {"worker": worker}).scalar_one())


def _place(limit: Limit) -> tuple[str, str]:
    kind, _, key = limit.key.partition(":")
    return kind, key
