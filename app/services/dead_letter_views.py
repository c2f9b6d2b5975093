"""What is told of dead letters, of replays and of decisions."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.domain.vocabulary import Channel, MessageType, Priority, Status


class HeldDecision(StrEnum):
    """What somebody may decide about a message of which nobody knows whether it was sent."""

    SENT = "sent"
    RESEND = "resend"
    GIVE_UP = "give_up"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A message that came to rest without being sent, or whose fate is unknown.

    `code` is the gateway's where it gave one; `since` is when the message came to rest.
    """

    uuid: UUID
    priority: Priority
    status: Status
    message_type: MessageType
    channel: Channel
    client_id: int
    batch: UUID | None
    recipient_address: str
    gateway: str | None
    error_class: str | None
    code: str | None
    last_error: str | None
    attempts: int
    possible_duplicate: bool
    created_at: datetime
    expires_at: datetime
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why so many came to rest; `latest` is when the last of them did."""

    status: Status
    error_class: str | None
    gateway: str | None
    code: str | None
    count: int
    latest: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """Reasons, the most frequent first; where they are not `complete`, older messages are not in them."""

    items: tuple[Reason, ...]
    complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """How many messages match; where that is not `complete` there are more."""

    count: int
    complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayView:
    """A replay: what it takes, how far it is, who wanted it and why.

    `is_new` is false for one that was asked for before.
    """

    uuid: UUID
    state: str
    who: str
    why: str
    criteria: dict[str, Any]
    gateway: str | None
    per_second: float
    replayed: int
    created_at: datetime
    finished_at: datetime | None
    is_new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """About how many messages something was done."""

    decision: HeldDecision
    count: int


def dead_letter(row: sa.Row[Any]) -> DeadLetter:
    """Make the view of a row."""
    return DeadLetter(
        uuid=row.uuid,
        priority=Priority(row.priority),
        status=Status(row.status),
        message_type=MessageType(row.message_type),
        channel=Channel(row.channel),
        client_id=row.client_id,
        batch=row.batch,
        recipient_address=row.recipient_address,
        gateway=row.gateway,
        error_class=row.last_error_class,
        code=row.code,
        last_error=row.last_error,
        attempts=row.attempts,
        possible_duplicate=row.possible_duplicate,
        created_at=row.created_at,
        expires_at=row.expires_at,
        since=row.updated_at,
    )


def replay_view(row: sa.Row[Any], *, is_new: bool = False) -> ReplayView:
    """Make the view of a row of replays."""
    return ReplayView(
        uuid=row.uuid,
        state=row.state,
        who=row.who,
        why=row.why,
        criteria=row.criteria,
        gateway=row.gateway,
        per_second=row.per_second,
        replayed=row.replayed,
        created_at=row.created_at,
        finished_at=row.finished_at,
        is_new=is_new,
    )
