"""Bodies, queries and answers about emergency procedures."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.base import Body, Id, Query, Reason, Time, Word
from app.domain.stops import StopScope
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.services.controls.clearing import ClearFilter
from app.services.controls.stopping import StopDraft
from app.services.controls.views import Procedure, StopState, WorkState

Cursor = Annotated[str, Field(max_length=500)]
Ramp = Annotated[int, Field(ge=0, le=86_400)]
Age = Annotated[int, Field(ge=0, le=315_360_000)]
Control = Annotated[int, Field(ge=1, lt=2**63)]


class Because(Body):
    why: Reason
    """Goes into the audit log, and is shown to everybody who looks."""


class StopEverything(Because):
    """Everything stops, on all workers, within a second."""

    including_p0: bool = False
    """Emergencies (P0) go on unless this is set."""
    since: Time | None = None
    """When it begins; left out, at once."""
    until: Time | None = None
    """When it ends by itself; left out, it holds until it is resumed."""
    resume_over_seconds: Ramp | None = None
    """After `until`, let sending grow from a tenth to all of its usual rate over this time."""

    def draft(self) -> StopDraft:
        """Give this in the services' words."""
        return self._draft(StopScope.ALL, None)

    def _draft(self, scope: StopScope, key: str | None) -> StopDraft:
        over = self.resume_over_seconds
        return StopDraft(
            scope=scope,
            key=key,
            including_p0=self.including_p0,
            since=self.since,
            until=self.until,
            resume_over=None if over is None else timedelta(seconds=over),
        )


class StopOne(StopEverything):
    """One thing stops: a channel, gateway, priority, client, template or batch."""

    scope: StopScope
    key: Word | None = None
    """Which one: a word, a client's name or id, a batch's UUID; left out for `all`."""

    def draft(self) -> StopDraft:
        """Give this in the services' words."""
        return self._draft(self.scope, self.key)


class Resume(Because):
    """Lifts the stops with these ids, those of one thing, or with `everything` all of them."""

    stops: Annotated[list[Control], Field(min_length=1, max_length=200)] | None = None
    scope: StopScope | None = None
    key: Word | None = None
    everything: bool = False
    over_seconds: Ramp | None = None
    """Let sending grow from a tenth to all of its usual rate over this time; left out, at once."""


class OfGateway(Because):
    channel: Channel
    gateway: Word


class Trip(OfGateway):
    wait_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """Probes may try after this; left out, as after faults."""


class Clear(Because):
    """First a filter, which is counted; then `clearing` with the id that came back, which is cancelled."""

    clearing: Control | None = None
    """The id of a preview that is to be carried out; the filter is the one that was previewed."""
    channel: Channel | None = None
    priority: Priority | None = None
    client: Word | None = None
    template: Word | None = None
    batch: Word | None = None
    gateway: Word | None = None
    source_type: Word | None = None
    older_than_seconds: Age | None = None
    younger_than_seconds: Age | None = None
    including_p0: bool = False
    """Emergencies (P0) are left alone unless this is set."""

    def filter(self) -> ClearFilter:
        """Give this in the services' words."""
        given = {name: getattr(self, name) for name in _FILTER}
        return ClearFilter(
            **given, older_than=_time(self.older_than_seconds), younger_than=_time(self.younger_than_seconds)
        )


_FILTER = ("channel", "priority", "client", "template", "batch", "gateway", "source_type", "including_p0")


class UndoClear(Because):
    clearing: Control


class History(Query):
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class Stopped(Answer):
    """One stop."""

    id: Id
    scope: StopScope
    key: str | None
    including_p0: bool
    state: StopState
    share: float
    """Which part of the usual rate may go now: 0 in force, then growing by tenths."""
    who: str
    why: str
    since: datetime
    until: datetime | None
    resume_over_seconds: float | None
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_why: str | None
    waiting: int | None = None
    """How many messages wait because of it, among the first of each caller."""
    later: int | None = None
    """How many will once they are due."""
    at_least: bool | None = None
    """Whether there may be more than `waiting` and `later`."""


class Resumed(Answer):
    items: list[Stopped]


class Counted(Answer):
    priority: Priority
    channel: Channel
    count: int


class Clearing(Answer):
    """One clearing of the queue."""

    id: Id
    state: WorkState
    filter: dict[str, Any]
    count: int
    """What the preview found."""
    counted: list[Counted]
    cancelled: int
    restored: int
    who: str
    why: str
    at: datetime
    undone_by: str | None
    undone_why: str | None


class Emergency(Answer):
    """What is in force, and what is still being done."""

    sending: bool
    """False while everything is stopped (but perhaps emergencies)."""
    stops: list[Stopped]
    clearings: list[Clearing]


class Used(Answer):
    """One use of a procedure."""

    id: Id
    procedure: Procedure
    state: str
    who: str
    why: str
    at: datetime
    details: dict[str, Any]
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_why: str | None


class Uses(Answer):
    items: list[Used]
    next: str | None


class OfGatewayNow(Answer):
    """How a gateway stands after what was done."""

    channel: Channel
    gateway: str
    tier: int | None
    breaker: BreakerState


class LimitsReset(Answer):
    windows: int
    """How many windows had counted anything."""


def _time(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
