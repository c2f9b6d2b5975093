"""Limits as figures: which windows there are, what falls under them, what is asked and granted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import floor
from typing import NamedTuple

from app.domain.vocabulary import Priority


class Window(Enum):
    """The lengths that can be limited, each as so many buckets of so many milliseconds.

    One bucket more than a window is long counts in full, so a window reaches buckets / (buckets + 1)
    of its limit at least: 98 % of the shortest, 99 % of the longest.
    """

    SECOND = (50, 20)
    MINUTE = (60, 1_000)
    HOUR = (60, 60_000)
    DAY = (96, 900_000)

    @property
    def buckets(self) -> int:
        """How many buckets make up the window's length."""
        return self.value[0]

    @property
    def width(self) -> int:
        """Milliseconds that one bucket covers."""
        return self.value[1]

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return timedelta(milliseconds=self.buckets * self.width)


_KINDS = {"ip_pool": "pool", "isp": "ISP"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One row of rate_limits; `key` is "<type>:<what>", as in "domain:gmail.com". None is no limit.

    One that is only `counted` makes nobody wait.
    """

    key: str
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None
    counted: bool = False

    def windows(self) -> Iterable[tuple[Window, int]]:
        """Give the windows that are limited, with how many messages each may hold."""
        return [(window, most) for window, most in zip(Window, self.figures, strict=True) if most is not None]

    @property
    def figures(self) -> tuple[int | None, ...]:
        """Give what it lets through of each window, from the shortest."""
        return (self.per_second, self.per_minute, self.per_hour, self.per_day)

    @property
    def is_gateways(self) -> bool:
        """Tell whether it is a gateway's own, so that another gateway is a way around it."""
        return self.key.startswith("gateway:") or (self.key.startswith("pace:") and self.key.endswith("|*"))

    @property
    def is_recipients(self) -> bool:
        """Tell whether it is one recipient's, or everybody's who has none of his own."""
        return self.key.startswith("recipient:")

    @property
    def name(self) -> str:
        """Name it for people, as in "domain gmail.com"; a recipient's own without its address."""
        kind, _, what = self.key.partition(":")
        if self.is_recipients:
            return "the recipient's own"
        if kind == "pace":
            gateway, _, part = what.partition("|")
            return f"pace of {gateway}" if part == "*" else f"pace of {gateway} to {part}"
        return f"{_KINDS.get(kind, kind)} {what}"

    def stops(self, priority: Priority) -> bool:
        """Tell whether it may make a message wait: P0 is counted everywhere, but waits for gateways only."""
        return not self.counted and (priority is not Priority.P0 or self.key.startswith("gateway:"))


def allowed(most: int, priority: Priority, reserve: float) -> int:
    """Give a priority's share of a window; never nothing where the limit itself is something.

    `reserve` is the share that only P0 and P4 have, half of it P0 alone.
    """
    if priority is Priority.P0:
        return most
    kept = reserve / 2 if priority is Priority.P4 else reserve
    return max(min(most, 1), floor(most * (1 - kept) + 1e-9))


class Ask(NamedTuple):
    """So many messages that all fall under these limits.

    `recipient` names one whose own windows count too, by the figures of `per_recipient`: any short word
    that is the same for the same recipient.
    """

    limits: tuple[Limit, ...]
    count: int  # type: ignore[assignment]  # Nobody counts in an ask as one does in other tuples.
    recipient: str = ""
    per_recipient: Limit | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What an ask got: tokens for its first `taken` messages, a wait for each of the last, ascending.

    `held_by` are the limits that decided these waits. The `spilled` messages between them are stopped by
    nothing but a gateway's own limits, and were promised no time. `at` is when, by the server's clock;
    `Tokens.give_back` wants to know it.
    """

    taken: int
    waits: tuple[timedelta, ...]
    at: datetime
    spilled: int = 0
    held_by: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """How many tokens a limit's windows hold now; None where there is no such window."""

    per_second: int | None
    per_minute: int | None
    per_hour: int | None
    per_day: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Full:
    """A window that made messages of this priority wait, told once in its length."""

    limit: Limit
    window: Window
    priority: Priority
