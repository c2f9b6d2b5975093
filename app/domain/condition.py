"""How a gateway does, in one word that never says more than is known."""

from dataclasses import dataclass
from enum import StrEnum
from math import floor

from app.domain.vocabulary import BreakerState


class Condition(StrEnum):
    """Worst first. `untried` is one of which nothing speaks, neither for it nor against it."""

    OPEN = "open"
    HALF_OPEN = "half_open"
    DEGRADED = "degraded"
    SLOW = "slow"
    UNTRIED = "untried"
    HEALTHY = "healthy"


# The share of faults at which a breaker opens, here of an hour: below it, nobody would call it well.
LEAST_ACCEPTED = 0.9

_BREAKERS = {BreakerState.OPEN: Condition.OPEN, BreakerState.HALF_OPEN: Condition.HALF_OPEN}
_NOTHING_AGAINST = frozenset({Condition.UNTRIED, Condition.HEALTHY})


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A condition and its reason, which is empty for what needs none."""

    condition: Condition
    reason: str = ""

    @property
    def is_well(self) -> bool:
        """Tell whether nothing speaks against it."""
        return self.condition in _NOTHING_AGAINST


def judge(
    *, breaker: BreakerState, breaker_reason: str, share: float, hour: float | None, day: float | None
) -> Judgement:
    """Judge a gateway by its breaker, and by which share of messages it accepted of late.

    `share` is what it gets of its messages, below 1 while it is slow; `hour` and `day` are shares of what was
    tried in the last hour and 24 hours, None where nothing was.
    """
    if breaker in _BREAKERS:
        return Judgement(condition=_BREAKERS[breaker], reason=breaker_reason)
    if hour is not None and hour < LEAST_ACCEPTED:
        reason = f"{_percent(hour)} accepted in the last hour"
        return Judgement(condition=Condition.DEGRADED, reason=reason)
    if hour is None and day is not None and day < LEAST_ACCEPTED:
        reason = f"{_percent(day)} accepted in the last 24 hours, nothing tried in the last hour"
        return Judgement(condition=Condition.DEGRADED, reason=reason)
    if share < 1:
        return Judgement(condition=Condition.SLOW, reason=f"spared to {_percent(share)} of its messages")
    if hour is None and day is None:
        return Judgement(condition=Condition.UNTRIED, reason="nothing was sent by it in the last 24 hours")
    return Judgement(condition=Condition.HEALTHY)


def _percent(share: float) -> str:
    """Write a share, rounded down: what is below a bound never looks as if it were there."""
    return "under 1 %" if 0 < share < 0.01 else f"{floor(share * 100)} %"  # noqa: PLR2004 - Per cent.
