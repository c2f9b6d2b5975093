"""Keeping the rate limits' counters where people and SQL can read them."""

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.limits.tokens import Limit
from app.queue import PACKAGE
from app.services.catalog import LimitRow
from app.services.sending.tools import Tools


def save_counts(tools: Tools) -> None:
    """Write what each limit's hour and day hold into rate_limits. Raises Unavailable.

    Windows slide, so a reset is when all that was counted by now will have left. Limits for each recipient
    have a counter for each recipient and none of their own; they are left out.
    """
    rows = [row for row in tools.catalog.limits() if row.limit_type != "recipient"]
    if tools.tokens is None or not rows:
        return
    usages = tools.tokens.usage([_limit(row) for row in rows])
    parameters = {
        "types": [row.limit_type for row in rows],
        "keys": [row.limit_key for row in rows],
        "in_hours": [usage.per_hour or 0 for usage in usages],
        "in_days": [usage.per_day or 0 for usage in usages],
    }
    with unavailable_when_down(), tools.once.connect() as conn:
        run(conn, PACKAGE, "save_counts", parameters)


def _limit(row: LimitRow) -> Limit:
    return Limit(
        key=f"{row.limit_type}:{row.limit_key}",
        per_second=row.per_second,
        per_minute=row.per_minute,
        per_hour=row.per_hour,
        per_day=row.per_day,
    )
