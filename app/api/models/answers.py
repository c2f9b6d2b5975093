"""Answers that are put together here; the others are the services' own views."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from app.domain.vocabulary import BreakerState, Channel, Priority, Status
from app.services.suppressions import SuppressionView


class Answer(BaseModel):
    """A JSON object as we give it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class SentToDevice(Answer):
    """One of the messages that a push to a recipient's devices became."""

    uuid: UUID
    status: Status
    priority: Priority
    gateway: str | None
    reason: str | None
    links: dict[str, str]


class Sent(Answer):
    """What became of a request to send one message."""

    uuid: UUID
    status: Status
    """`pending`, or `suppressed` where the address may not be contacted."""
    priority: Priority
    gateway: str | None
    """The gateway it is to go through, as things stand now."""
    reason: str | None
    """Why it is suppressed."""
    links: dict[str, str]
    messages: list[SentToDevice] | None = None
    """All of them, where the request went to a recipient's devices; the first pending one stands above."""
    sequence: UUID | None = None
    """What follows, where the request had a `sequence`."""


class BatchTaken(Answer):
    """What became of a bulk request."""

    batch: UUID
    status: str
    received: int
    """All rows, refused ones too."""
    invalid: int
    """The rows that were refused at once."""
    warnings: list[str]
    """Which limits in force keep some of them from leaving in time, in words; mostly none."""
    links: dict[str, str]


class LaneState(Answer):
    """One priority's lane. Counts stop at 10,000; `at_least` names those that did."""

    priority: Priority
    name: str
    due: int
    scheduled: int
    processing: int
    at_least: list[str]
    oldest_age_seconds: float | None
    """How long the oldest due message has waited."""
    max_age_seconds: float
    """Within this a message must be handed to a gateway."""


class Lanes(Answer):
    items: list[LaneState]


class GatewayState(Answer):
    """What one gateway of one channel did lately."""

    channel: Channel
    gateway: str
    enabled: bool
    breaker: BreakerState
    window_seconds: float
    sent: int
    delivered: int
    bounced: int
    failed: int
    per_second: float
    """Messages that the gateway accepted, a second."""
    success_rate: float | None
    counted_all: bool
    """False where there was more to count than is counted."""
    last_sent_at: datetime | None


class Gateways(Answer):
    items: list[GatewayState]
    breakers_known: bool
    """False while Redis cannot be asked; then all breakers show as closed."""


class Added(Answer):
    """A row of the suppression list, and whether it is new."""

    suppression: SuppressionView
    added: bool


class Rejected(Answer):
    line: int
    reason: str


class ImportResult(Answer):
    """What an import came to; `rejects` are the first hundred refused lines."""

    received: int
    added: int
    known: int
    invalid: int
    rejects: list[Rejected]


class Check(Answer):
    """One of the things that must be right for the process to be of use."""

    ok: bool
    detail: str
    required: bool
    """Whether the process is not ready without it."""


class Readiness(Answer):
    ready: bool
    checks: dict[str, Check]


class Alive(Answer):
    status: str


class ProblemFault(Answer):
    field: str
    message: str


class Problem(Answer):
    """Problem details (RFC 9457). `type` is a path that says more."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[ProblemFault] | None = None
    request_id: str | None = None
