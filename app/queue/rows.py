"""A message as the sending half sees it."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class Claimed(NamedTuple):
    """One claimed message: the columns of message_queue that sending needs, in the statements' order."""

    id: int
    uuid: UUID
    priority: str
    message_type: str
    category: str | None
    client_id: int
    community_id: int | None
    batch_id: int | None
    channel: str
    recipient_address: str
    subject: str | None
    template: str | None
    template_version: int | None
    locale: str | None
    body_text: str | None
    body_html: str | None
    content_data: dict[str, Any] | None
    options: dict[str, Any] | None
    ip_pool: str | None
    gateway: str | None
    gateway_pinned: bool
    tried: list[str]
    scheduled_for: datetime
    expires_at: datetime
    tries: int
    attempts: int
    max_attempts: int
    possible_duplicate: bool
