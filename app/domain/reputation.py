"""What bounces and complaints say about the names our mail goes out under, and what follows for campaigns."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from app.domain.vocabulary import Priority


class NameKind(StrEnum):
    """What mailbox providers know us by."""

    DOMAIN = "domain"
    IP_POOL = "ip_pool"


class Level(IntEnum):
    """How far a name is in danger. What is urgent, and what somebody waits for, is never held up by it."""

    GOOD = 0
    WATCHED = 1
    ENDANGERED = 2
    BAD = 3


class Restraint(StrEnum):
    """What is done to messages of a lane."""

    THROTTLED = "throttled"
    PAUSED = "paused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The shares of hard bounces and complaints that providers do not forgive, and from what volume on."""

    bounced: float = 0.05
    complained: float = 0.001
    least_volume: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What happened under a name within a window."""

    window: str
    sent: int
    bounced: int
    complained: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How a name is, and the count that says so; empty where none does."""

    level: Level
    reason: str


# Campaigns go slower before a bound is reached and stop at it; newsletters one step later, since providers
# judge the name and not the kind of mail, but subscribers asked for theirs.
_RESTRAINTS: dict[tuple[Priority, Level], Restraint] = {
    (Priority.P3, Level.WATCHED): Restraint.THROTTLED,
    (Priority.P3, Level.ENDANGERED): Restraint.PAUSED,
    (Priority.P3, Level.BAD): Restraint.PAUSED,
    (Priority.P2, Level.ENDANGERED): Restraint.THROTTLED,
    (Priority.P2, Level.BAD): Restraint.PAUSED,
}

# Parts of a bound from which on a level holds; it ends below so much of that, so that nothing flutters.
_FROM = {Level.BAD: 2.0, Level.ENDANGERED: 1.0, Level.WATCHED: 0.8}
_UNTIL = 0.75
# One angry reader of a thousand is no judgement.
_FEWEST = 3


def restraint(priority: Priority, level: Level) -> Restraint | None:
    """Tell what is done to a lane's messages under a name of this level."""
    return _RESTRAINTS.get((priority, level))


def judge(records: Sequence[Record], bounds: Bounds, before: Level = Level.GOOD) -> Verdict:
    """Judge a name by the worst of what is known of it; records of too little volume say nothing."""
    worst, reason = 0.0, ""
    for record in records:
        if record.sent < bounds.least_volume:
            continue
        for count, bound, word in (
            (record.bounced, bounds.bounced, "bounced"),
            (record.complained, bounds.complained, "complained"),
        ):
            part = count / record.sent / bound
            if count >= _FEWEST and part > worst:
                worst = part
                reason = (
                    f"{count / record.sent:.2%} of {record.sent} messages {word} within {record.window}; "
                    f"the bound is {bound:.2%}"
                )
    return Verdict(level=_level(worst, before), reason=reason)


def _level(part: float, before: Level) -> Level:
    for level in sorted(_FROM, reverse=True):
        begins = _FROM[level] * (_UNTIL if level <= before else 1.0)
        # What is a bound in decimals is a little off in binary.
        if part >= begins - 1e-9:
            return level
    return Level.GOOD
