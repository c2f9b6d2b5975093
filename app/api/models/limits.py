"""Bodies, queries and answers about rate limits."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.base import Body, Query, Reason, Time, Word
from app.api.models.rules import Cursor, Limit
from app.services.limit_rows import HIGHEST, LONGEST_NOTES, LimitDraft, LimitType, LimitView
from app.services.limit_table import Warmup
from app.services.limits import PaceView

Figure = Annotated[int, Field(ge=1, le=HIGHEST)]
Notes = Annotated[str, Field(max_length=LONGEST_NOTES)]


class WarmingUp(Body):
    """The first days of a new IP pool: so many messages on the first one, more on each that follows.

    It ends where it reaches `max_per_day`.
    """

    first: Figure
    growth: Literal["double", "linear"] = "double"
    """`double` is n, 2n, 4n …; `linear` is n, 2n, 3n …"""
    started_at: Time

    def warmup(self) -> Warmup:
        """Give this in the services' words."""
        return Warmup(first=self.first, growth=self.growth, started_at=self.started_at)


class LimitBody(Body):
    """What can be said of a limit, and why."""

    max_per_second: Figure | None = None
    max_per_minute: Figure | None = None
    max_per_hour: Figure | None = None
    max_per_day: Figure | None = None
    warmup: WarmingUp | None = None
    """For IP pools only."""
    is_active: bool = True
    notes: Notes = ""
    why: Reason | None = None
    """Goes into the audit log."""


class Figures(LimitBody):
    """What a limit is to be; a window that is left out is not limited."""

    def draft(self) -> LimitDraft:
        """Give this in the services' words."""
        values = {name: value for name, value in vars(self).items() if name != "why"}
        return LimitDraft(**{**values, "warmup": self.warmup and self.warmup.warmup()})


class NewFigures(LimitBody):
    """What is to be otherwise about a limit: what is left out stays, null takes a limit from a window."""

    def changes(self) -> dict[str, Any]:
        """Give what was said, in the services' words."""
        said = {name: getattr(self, name) for name in self.model_fields_set if name != "why"}
        if self.warmup is not None:
            said["warmup"] = self.warmup.warmup()
        return said


class LimitsOf(Query):
    limit_type: LimitType | None = None


class EventsOf(Query):
    cursor: Cursor | None = None
    limit: Limit = 50


class Because(Query):
    why: Reason | None = None
    """Goes into the audit log."""


class WhyReset(Body):
    why: Reason | None = None
    """Goes into the audit log."""


class LimitList(Answer):
    """Limits by type and key."""

    items: list[LimitView]
    rate_limiting_enabled: bool
    """Where it is false, nothing of this limits anything."""


class PaceList(Answer):
    """Gateways that are sent to more slowly than usual, since they, or who stands behind them, said so."""

    items: list[PaceView]


class ResetDone(Answer):
    limits: int
    """So many have forgotten what they had counted."""


class PacePart(Query):
    gateway: Word
    part: Annotated[str, Field(min_length=1, max_length=255)] = "*"
    """An ISP or a domain, as the list has it."""
    why: Reason | None = None
    """Goes into the audit log."""
