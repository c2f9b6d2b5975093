"""What callers get to see of emergency procedures."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from app.domain.stops import StopScope


class Procedure(StrEnum):
    """What an operator can do in an emergency; resuming and undoing belong to what they end."""

    STOP = "stop"
    SWITCH_PROVIDER = "switch_provider"
    CLEAR_QUEUE = "clear_queue"
    RESET_RATE_LIMITS = "reset_rate_limits"
    TRIP_BREAKER = "trip_breaker"
    RESET_BREAKER = "reset_breaker"


class StopState(StrEnum):
    """Where a stop is in its life."""

    SCHEDULED = "scheduled"
    IN_FORCE = "in_force"
    RESUMING = "resuming"
    ENDED = "ended"


class WorkState(StrEnum):
    """Where a clearing is; a stop has a StopState instead."""

    PREVIEWED = "previewed"
    RUNNING = "running"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What a stop keeps: what is due, and what is due `later`; `at_least` where there may be more."""

    due: int
    later: int
    at_least: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StopView:
    """One stop. `key` is as people write it: a client's name, a batch's UUID.

    `share` is what part of the usual rate may go now. `waiting` counts what waits because of it, among
    the first of each caller, `later` what will once it is due; `at_least` tells that there is more. They are
    left out where not asked for.
    """

    id: int
    scope: StopScope
    key: str | None
    including_p0: bool
    state: StopState
    share: float
    who: str
    why: str
    since: datetime
    until: datetime | None
    resume_over: timedelta | None
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_why: str | None
    waiting: int | None = None
    later: int | None = None
    at_least: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClearingView:
    """One clearing of the queue. `counted` is what the preview found, by priority and channel.

    `cancelled` and `restored` count what was done so far; `filter` is as it was previewed.
    """

    id: int
    state: WorkState
    filter: Mapping[str, Any]
    count: int
    counted: tuple[Mapping[str, Any], ...]
    cancelled: int
    restored: int
    who: str
    why: str
    at: datetime
    undone_by: str | None
    undone_why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlView:
    """One use of an emergency procedure, for the history."""

    id: int
    procedure: Procedure
    state: str
    who: str
    why: str
    at: datetime
    details: Mapping[str, Any]
    lifted_at: datetime | None
    lifted_by: str | None
    lifted_why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EmergencyState:
    """What is in force, scheduled or growing again, and what is still being cleared or put back."""

    sending: bool
    stops: tuple[StopView, ...]
    clearings: tuple[ClearingView, ...]
