"""What callers are answered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.domain.vocabulary import Channel, EventType, MessageType, Priority, Status

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Some items of a longer list; `next` is the cursor of those after them, None at the end."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The answer to a single message: `pending`, or `suppressed` with its reason.

    `replayed` tells that it is the first answer given again. `message` is its row, where it is new.
    Where one request came to several messages, one for each device, `messages` are all of them, and the
    first that is pending stands for them.
    """

    uuid: UUID
    status: Status
    priority: Priority
    gateway: str | None
    reason: str | None = None
    replayed: bool = False
    message: int | None = None
    messages: tuple["Accepted", ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAccepted:
    """The answer to a bulk request. `received` counts all rows, `invalid` the refused among them.

    `warnings` say which limits keep some of them from leaving in time.
    """

    batch: UUID
    received: int
    invalid: int
    warnings: tuple[str, ...] = ()
    status: str = "accepted"
    replayed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EventView:
    """One line of a message's history. `data` holds what the event has beside its time and source."""

    event_type: EventType
    occurred_at: datetime
    source: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageView:
    """Every public column of a message. `batch` is the batch's uuid; `events` are in order.

    In a search `events` is empty.
    """

    uuid: UUID
    priority: Priority
    message_type: MessageType
    category: str | None
    client_id: int
    community_id: int | None
    batch: UUID | None
    source_type: str | None
    source_id: int | None
    channel: Channel
    recipient_type: str | None
    recipient_id: int | None
    recipient_address: str
    subject: str | None
    template: str | None
    template_version: int | None
    locale: str | None
    body_text: str | None
    body_html: str | None
    content_data: dict[str, Any] | None
    metadata: dict[str, Any]
    sender: str | None
    ip_pool: str | None
    gateway: str | None
    failover_gateway: str | None
    status: Status
    scheduled_for: datetime
    expires_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    external_id: str | None
    attempts: int
    max_attempts: int
    possible_duplicate: bool
    last_error: str | None
    last_error_class: str | None
    next_retry_at: datetime | None
    created_at: datetime
    updated_at: datetime
    events: tuple[EventView, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EventReported:
    """The answer to an event reported by a caller."""

    uuid: UUID
    event_type: EventType
    replayed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectView:
    """A row that no message came of."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchView:
    """How far a bulk request is.

    `state` is accepted, expanding, expanded, finished or cancelled. Each received row is counted in
    exactly one of `waiting` (not yet expanded), `invalid`, `duplicate` and the statuses; `queued` are
    all that ever became pending. `rate` is in messages a second that left since the batch was
    accepted, without the time that it was stopped, `percentage` of what is to leave. `rejects` are the
    first refused rows.
    """

    uuid: UUID
    state: str
    channel: Channel
    priority: Priority
    message_type: MessageType
    category: str | None
    source_type: str | None
    source_id: int | None
    template: str | None
    received: int
    queued: int
    waiting: int
    invalid: int
    duplicate: int
    suppressed: int
    pending: int
    processing: int
    sent: int
    delivered: int
    bounced: int
    failed: int
    expired: int
    cancelled: int
    held: int
    rate: float
    percentage: float
    expected_end: datetime | None
    scheduled_for: datetime | None
    created_at: datetime
    accepted_at: datetime | None
    finished_at: datetime | None
    rejects: tuple[RejectView, ...] = field(default=())
