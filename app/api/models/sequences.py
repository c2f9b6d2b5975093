"""Answers about sequences."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from app.api.models.answers import Answer
from app.domain.vocabulary import Channel
from app.services.sequence_views import StepMessage


class StepState(Answer):
    """One step of a sequence; the first is the message that it was started with."""

    position: int
    channel: Channel
    until: Literal["delivered", "confirmed"]
    after_seconds: float
    due_at: datetime
    state: Literal["waiting", "sent", "skipped", "failed", "cancelled"]
    """`skipped` where an earlier message had arrived by then."""
    error: str | None
    messages: list[StepMessage]


class SequenceState(Answer):
    uuid: UUID
    state: Literal["running", "finished", "stopped", "cancelled"]
    """`stopped` where a message had arrived, `finished` where all steps had their turn."""
    created_at: datetime
    finished_at: datetime | None
    steps: list[StepState]
