"""What rate limits have counted: kept in PostgreSQL, and counted anew after Redis was lost."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from app.db.arrays import numbers, texts
from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import rate_windows
from app.limits.tokens import Limit, Tokens, Window
from app.queue import PACKAGE
from app.services.limit_events import forget_events
from app.services.limit_table import IspBook, LimitTable
from app.services.limit_tries import Tally, reach, recipients_tried, tries_of
from app.services.sending.tools import Tools

log = structlog.get_logger(__name__)

# Other processes add what they hold within this time; tokens are taken again after it.
SETTLING = timedelta(seconds=3)
# What was sent so long ago is counted for a new window; who sets a day's begins to count now.
COUNTED_AT_ONCE = timedelta(hours=1)
# No statement of counting anew takes longer, and one whose process is gone ends so soon.
_PATIENCE, _LOOK_EVERY = timedelta(seconds=15), timedelta(seconds=1)


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

    What was kept last, and each try since. Meanwhile nothing but emergencies goes. Who counts holds a lock
    of PostgreSQL's, which is free again as soon as its process is gone. Raises Unavailable.
    """
    if tools.tokens is None:
        return False
    table, isps = tools.catalog.limits(), tools.catalog.isps()
    with unavailable_when_down(), tools.engine.begin() as conn:
        if not _begins(conn):
            return False
        # Another may have finished just before. What it counted holds.
        if tools.tokens.dump([]) is None:
            _count(conn, tools, tools.tokens, _kept(conn, table, isps))
    return True


def _begins(conn: sa.Connection) -> bool:
    """Become the one who counts, until this transaction is over; False where another is."""
    setting = sa.func.set_config
    asked = sa.select(
        setting("statement_timeout", f"{_PATIENCE.total_seconds():g}s", True),
        # The server itself looks whether whoever waits for a statement is there still.
        setting("client_connection_check_interval", f"{_LOOK_EVERY.total_seconds():g}s", True),
        sa.func.pg_try_advisory_xact_lock(sa.func.hashtextextended("recount limits", 0)).label("begins"),
    )
    return bool(conn.execute(asked).one().begins)


def _count(conn: sa.Connection, tools: Tools, tokens: Tokens, tally: Tally) -> None:
    first = min(tally.since.values(), default=None)
    tries = tally.read_on(conn, _clock(conn))
    # What went meanwhile: emergencies do not wait.
    snapshot = _clock(conn)
    tries += tally.read_on(conn, snapshot)
    recipients = recipients_tried(conn, tally.table, snapshot)
    others = _others_send(conn, tools.worker)
    tokens.recount(
        {limit: list(times.items()) for limit, times in tally.counted.items()},
        {place: list(times.items()) for place, times in recipients.items()},
        snapshot=snapshot,
        settling=SETTLING if others else timedelta(0),
    )
    # A system that has sent nothing yet has lost nothing.
    tell = log.warning if any(tally.counted.values()) or recipients else log.info
    tell("rate limits counted anew", since=str(first), tries=tries, limits=len(tally.counted))


def _clock(conn: sa.Connection) -> datetime:
    return conn.scalar(sa.select(sa.func.clock_timestamp())) or datetime.now(UTC)


def sent_lately(
    conn: sa.Connection, isps: IspBook, limit: Limit, since: datetime
) -> list[tuple[datetime, int]]:
    """Tell what was sent under one limit since a time, as PostgreSQL knows it, by the second."""
    return tries_of(conn, isps, limit, since, _clock(conn))


def forget(conn: sa.Connection, limits: Iterable[Limit]) -> None:
    """Write down that nothing was counted under these limits until now, as somebody wishes it."""
    for limit in limits:
        kind, key = _place(limit)
        for window, _ in limit.windows():
            place = {"limit_type": kind, "limit_key": key, "window": window.name.lower()}
            nothing = {"times": [], "counts": [], "saved_at": sa.func.now()}
            statement = insert(rate_windows).values(**place, **nothing)
            conn.execute(statement.on_conflict_do_update(index_elements=list(place), set_=nothing))


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


def _kept(conn: sa.Connection, table: LimitTable, isps: IspBook) -> Tally:
    """Read what was kept last; gives it, and since when tries have to be counted for each limit.

    All windows of a limit hold the same tokens as far as they reach, so the longest one's are read, and
    those of the shorter ones where they begin. A limit of which nothing is kept, while others are kept, is
    new: like one that is made now it counts an hour at most. No limit looks back further than it reaches.
    """
    by_limit: dict[Limit, list[sa.Row[Any]]] = defaultdict(list)
    for row in conn.execute(sa.select(rate_windows)):
        limit = table.find(row.limit_type, row.limit_key)
        if limit:
            by_limit[limit].append(row)
    counted = {limit: _finest(by_limit[limit]) for limit in table.shared if reach(limit)}
    now, unknown = _clock(conn), COUNTED_AT_ONCE if any(by_limit.values()) else timedelta.max
    since = {}
    for limit in counted:
        kept_at = max((row.saved_at for row in by_limit[limit]), default=None)
        since[limit] = now - min(reach(limit), now - kept_at if kept_at else unknown)
    return Tally(table=table, isps=isps, counted=counted, since=since)


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


def _others_send(conn: sa.Connection, worker: str) -> bool:
    """Tell whether another process may hold tokens now."""
    return bool(run(conn, PACKAGE, "others_send", {"worker": worker}).scalar_one())


def _place(limit: Limit) -> tuple[str, str]:
    kind, _, key = limit.key.partition(":")
    return kind, key
