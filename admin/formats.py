"""How templates write numbers, times and addresses."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from flask import Flask
from markupsafe import Markup, escape

from admin import people
from app.domain.addresses import masked
from app.domain.vocabulary import Channel

NONE = "\N{EN DASH}"
_QUOTED = re.compile("`([^`]+)`")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
# States in words, and the colour group each belongs to: never colour alone.
TONES: Mapping[str, str] = {
    "pending": "wait", "processing": "busy", "sent": "busy", "delivered": "good", "bounced": "bad",
    "failed": "bad", "expired": "bad", "cancelled": "still", "suppressed": "still", "held": "warn",
    "closed": "good", "open": "bad", "half_open": "warn", "healthy": "good", "degraded": "bad",
    "slow": "warn", "untried": "still",
    "running": "busy", "finished": "good", "stopped": "bad", "active": "good", "inactive": "still",
    "info": "busy", "warning": "warn", "critical": "bad", "high": "bad", "medium": "warn", "low": "busy",
    "ok": "good", "drained": "warn",
    "disabled": "still",
}  # fmt: skip


def install(flask: Flask) -> None:
    """Teach the application's templates to write."""
    flask.jinja_env.filters.update(
        number=number, rate=rate, percent=percent, duration=duration, moment=moment, mask=mask, badge=badge,
        day=day, spelled=spelled,
    )  # fmt: skip
    flask.jinja_env.globals.update(may=_may)


def number(value: float | None, *, at_least: bool = False) -> str:
    """Write a count with its thousands set apart; "10,000+" where it was not counted to the end."""
    return NONE if value is None else f"{value:,.0f}{'+' if at_least else ''}"


def rate(value: float | None, unit: str = "/s") -> str:
    """Write how many in a second."""
    if value is None:
        return NONE
    shown = f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"  # noqa: PLR2004 - Two digits say enough.
    return f"{shown} {unit}"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share of one. What is not all is never rounded to all, nor something to nothing."""
    if value is None:
        return NONE
    shown = round(value * 100, digits)
    step = 10**-digits
    if shown == 100 and value < 1:  # noqa: PLR2004 - Per cent.
        shown = 100 - step
    if shown == 0 and value > 0:
        shown = step
    return f"{shown:.{0 if shown in (0, 100) else digits}f} %"


def duration(value: timedelta | float | None) -> str:
    """Write how long, in its two largest units."""
    if value is None:
        return NONE
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    parts = []
    left = int(seconds)
    for unit, size in _UNITS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def moment(value: datetime | None, absent: str = NONE) -> Markup | str:
    """Write a time in UTC, which a script shows in the viewer's zone, with UTC on hover."""
    if value is None:
        return absent
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    )


def day(value: datetime) -> str:
    """Write a day."""
    return value.strftime("%Y-%m-%d")


def mask(address: str | None, channel: str | Channel | None = None) -> str:
    """Shorten an address so that it tells nobody whose it is; without a channel, its look says the kind."""
    if not address:
        return NONE
    if channel in (None, "all"):
        channel = Channel.EMAIL if "@" in address else Channel.SMS
    return masked(Channel(channel), address)


def badge(state: str, label: str | None = None) -> Markup:
    """Show a state as a word on a tint."""
    tone = TONES.get(state, "still")
    return Markup('<span class="state state-{}">{}</span>').format(tone, label or state.replace("_", " "))


def spelled(text: str) -> Markup:
    """Show what stands between backticks as something to type or to look for."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - It is escaped before.


def _may(right: str) -> bool:
    return people.is_signed_in() and people.person().may(right)
