"""How much may be sent, and what of it has grown since somebody looked: fewer have to wait for that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

# How much each window of a limit lets through; None is as much as there is.
Figures = Sequence[int | None]

EVERYTHING = "*"

# A pace creeps up all the time: who waits for it is told each time that it has doubled.
_NOTABLE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What there is to send by.

    `gateways` are those that are well and in use, each with since when it has its place in the order.
    `limits` are by their keys, and so are `paces`, in messages a second. `resets` count up each time that
    what a limit has counted was forgotten, under EVERYTHING for all limits at once.
    """

    gateways: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Figures] = field(default_factory=dict)
    paces: Mapping[str, float] = field(default_factory=dict)
    resets: Mapping[str, int] = field(default_factory=dict)


class Growth(NamedTuple):
    """Waits for a limit shrink to a `share` in [0, 1), those for EVERYTHING if it is named instead.

    With a `gateway`, those of its channel that wait for some gateway's limit or pace: it takes them now.
    """

    share: float
    limit: str | None = None
    gateway: str | None = None


def growth(before: Capacity, now: Capacity) -> tuple[list[Growth], Capacity]:
    """Tell what lets more through than before, and with what the next look is to be compared."""
    opened = [name for name, since in now.gateways.items() if before.gateways.get(name) != since]
    reset = [key for key, times in now.resets.items() if times > before.resets.get(key, 0)]
    raised = [key for key, most in before.limits.items() if _is_raised(most, now.limits.get(key))]
    crept = list(_doubled(before.paces, now.paces))
    found = [
        *(Growth(0.0, gateway=name) for name in opened),
        *(Growth(0.0, limit=key) for key in dict.fromkeys(reset + raised)),
        *crept,
    ]
    # Of growth that is not told yet nothing is lost: it is measured from where it began.
    told = {each.limit for each in crept}
    paces = {
        key: pace if key in told else min(before.paces.get(key, pace), pace)
        for key, pace in now.paces.items()
    }
    return found, replace(now, paces=paces)


def _is_raised(before: Figures, now: Figures | None) -> bool:
    """Tell whether any window lets more through; then there are tokens at once."""
    if now is None:
        return True
    pairs = zip(before, now, strict=True)
    return any(most is not None and (more is None or more > most) for most, more in pairs)


def _doubled(before: Mapping[str, float], now: Mapping[str, float]) -> Iterable[Growth]:
    for key, pace in before.items():
        share = pace / now[key] if key in now else 0.0
        if share <= _NOTABLE:
            yield Growth(share, limit=key)
