"""What callers ask for: one message, or one bulk request with its rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from app.domain.vocabulary import Channel, MessageType, Priority, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """An attachment as it was uploaded; `content` is the file's bytes."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What a single message and a bulk request share.

    `priority` is the type's own where it is None. What is said is either `template` (filled with
    data) or `subject` and bodies, which are sent as they are. `sender` is a slug, the type's default
    where it is None. `sections` are options for one channel, by channel. Times are aware. A `gateway` that
    is named is the only one, but for P0 and P4, where it is the first one unless `gateway_only` is said.
    """

    channel: Channel
    message_type: MessageType
    priority: Priority | None = None
    category: str | None = None
    community_id: int | None = None
    source_type: str | None = None
    source_id: int | None = None
    template: str | None = None
    locale: str | None = None
    subject: str | None = None
    body_text: str | None = None
    body_html: str | None = None
    sender: str | None = None
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[File, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[Channel, Mapping[str, Any]] = field(default_factory=dict)
    ip_pool: str | None = None
    gateway: str | None = None
    gateway_only: bool = False
    platform: str | None = None
    scheduled_for: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SendRequest(Head):
    """One message to one recipient. `data` fills the template in.

    A push without an address goes to all devices in use of `recipient_type` and `recipient_id`.
    """

    recipient_address: str | None = None
    recipient_type: str | None = None
    recipient_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BulkHead(Head):
    """What all messages of a bulk request share; a row's own data wins over `shared_data`."""

    shared_data: Mapping[str, Any] = field(default_factory=dict)
    allow_duplicates: bool = False


class Row(NamedTuple):
    """One recipient of a bulk request, with its line in the upload."""

    line: int
    address: str
    id: int | None = None
    type: str | None = None
    data: dict[str, Any] | None = None


class Reject(NamedTuple):
    """A line of a bulk request that no message comes of, and why."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What messages are searched by; all that is set must hold. `since` counts in, `until` does not.

    `recipient_address` is compared in canonical form, which needs `channel` for all but email.
    """

    source_type: str | None = None
    source_id: int | None = None
    recipient_address: str | None = None
    channel: Channel | None = None
    status: Status | None = None
    priority: Priority | None = None
    batch: UUID | None = None
    external_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
