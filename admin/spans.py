"""Times to narrow lists by: how far back from now, and from one day to another."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from app.errors import Invalid

SPANS = (
    ("1h", "the last hour"),
    ("6h", "the last six hours"),
    ("1", "the last day"),
    ("7", "the last week"),
    ("30", "the last 30 days"),
)
_LONGEST = 3650


def since_of(said: Mapping[str, str], name: str, now: datetime) -> datetime | None:
    """Read one of SPANS, or a number of days, as the time it goes back to; raises Invalid."""
    text = said.get(name)
    if not text:
        return None
    number, unit = (text[:-1], "hours") if text.endswith("h") else (text, "days")
    if not number.isdecimal():
        raise Invalid.of(name, "must be a number of days, or of hours as 6h")
    return now - timedelta(**{unit: min(int(number), _LONGEST)})


def day_of(said: Mapping[str, str], name: str) -> datetime | None:
    """Read a day as its beginning in UTC; raises Invalid."""
    if not said.get(name):
        return None
    try:
        return datetime.strptime(said[name], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as exc:
        raise Invalid.of(name, "must be a day, as 2026-11-22") from exc


def end_of(said: Mapping[str, str], name: str) -> datetime | None:
    """Read a day as its end in UTC, since the day that is named counts in; raises Invalid."""
    day = day_of(said, name)
    return day and day + timedelta(days=1)
