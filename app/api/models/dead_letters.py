"""Bodies, queries and answers about dead letters and held messages."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.models.base import Body, Id, Query, Reason, Time, Word
from app.domain.vocabulary import Channel, OutcomeClass, Priority, Status
from app.services.dead_letter_rows import DEAD, Criteria
from app.services.dead_letter_views import HeldDecision
from app.services.dead_letters import FASTEST, MOST_UUIDS, SLOWEST

_Settled = Literal[Status.FAILED, Status.EXPIRED, Status.CANCELLED]

# The empty text stands for "none".
_ErrorClass = OutcomeClass | Literal[""]
_Name = Annotated[str, Field(max_length=100)]
_Uuids = Annotated[list[UUID], Field(min_length=1, max_length=MOST_UUIDS)]


def _settled() -> list[_Settled]:
    return [Status.FAILED, Status.EXPIRED]


class Marks(BaseModel):
    """What dead letters are told apart by; all that is given must hold."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    error_class: _ErrorClass | None = None
    """The class of the last error; the empty text for none."""
    code: _Name | None = None
    """The gateway's code; the empty text for none."""
    gateway: _Name | None = None
    channel: Channel | None = None
    priority: Priority | None = None
    client_id: Id | None = None
    batch: UUID | None = None
    since: Time | None = None
    """They came to rest at this time or after it."""
    until: Time | None = None


class Meant(Marks, Body):
    """Which messages are meant; all that is given must hold."""

    uuids: _Uuids | None = None
    """A selection."""

    def criteria(self, statuses: tuple[Status, ...]) -> Criteria:
        """Give this in the services' words."""
        given = {name: getattr(self, name) for name in Meant.model_fields}
        return Criteria(**given | {"statuses": statuses, "uuids": tuple(self.uuids) if self.uuids else None})


class MeantDead(Meant):
    """Which dead letters are meant."""

    statuses: Annotated[list[_Settled], Field(min_length=1, max_length=3, default_factory=_settled)]
    """What was cancelled is meant only where it is named."""


class NewReplay(Body):
    """What to put back into the queue, and why."""

    messages: MeantDead
    why: Reason
    """Goes into the audit log."""
    through: Word | None = None
    """The gateway to try first; needs `channel`."""
    per_second: Annotated[float, Field(ge=SLOWEST, le=FASTEST)] = 50
    replay_id: UUID | None = None
    """Chosen by the caller: asked for again under it, a replay is not begun a second time."""
    dry_run: bool = False
    """Only count them."""

    def criteria(self) -> Criteria:
        """Give what is meant in the services' words."""
        return self.messages.criteria(tuple(dict.fromkeys(self.messages.statuses)))


class Decide(Body):
    """What to do about held messages, and why."""

    messages: Meant
    decision: HeldDecision
    why: Reason
    dry_run: bool = False
    """Only count them."""

    def criteria(self) -> Criteria:
        """Give what is meant in the services' words."""
        return self.messages.criteria((Status.HELD,))


class DecideOne(Body):
    """What to do about a held message, and why."""

    decision: HeldDecision
    why: Reason


class ReplayOne(Body):
    """Why to send a message again, and through which gateway first."""

    why: Reason
    through: Word | None = None


class Stop(Query):
    why: Reason
    """Goes into the audit log."""


class DeadLetters(Marks, Query):
    """Which dead letters to list; all that is given must hold."""

    status: Literal[Status.FAILED, Status.EXPIRED, Status.HELD, Status.CANCELLED] | None = None

    def criteria(self) -> Criteria:
        """Give this in the services' words; what a caller has cancelled is listed when it is asked for."""
        given = {name: getattr(self, name) for name in Marks.model_fields}
        listed = tuple(status for status in DEAD if status is not Status.CANCELLED)
        return Criteria(**given | {"statuses": (self.status,) if self.status else listed})


class DeadLettersPage(DeadLetters):
    """A page of dead letters."""

    cursor: Annotated[str, Field(max_length=500)] | None = None
    """As `next` in the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
