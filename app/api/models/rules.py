"""Bodies and queries about templates, suppressions and senders."""

from typing import Annotated, Literal

from pydantic import Field

from app.api.models.base import Address, Body, Id, Query, Reason, Time, Word
from app.domain.vocabulary import Channel, MessageType, SuppressionReason
from app.services.senders import SenderDraft
from app.services.suppressions import SuppressionDraft

Cursor = Annotated[str, Field(max_length=500)]
Limit = Annotated[int, Field(ge=1, le=200)]


class NewSuppression(Body):
    """Whom not to contact. What is left out widens: every community, every category, for ever."""

    channel: Literal["email", "sms", "whatsapp", "voice", "push", "all"]
    address: Address
    reason: SuppressionReason = SuppressionReason.MANUAL
    community_id: Id | None = None
    category: Word | None = None
    sender: Address | None = None
    """The address or number that the person does not want to hear from."""
    note: Reason | None = None
    expires_at: Time | None = None

    def draft(self) -> SuppressionDraft:
        """Give this in the services' words."""
        return SuppressionDraft(**vars(self))


class Release(Body):
    why: Reason
    """Goes into the audit log."""


class Suppressions(Query):
    channel: Literal["email", "sms", "whatsapp", "voice", "push", "all"] | None = None
    address: Address | None = None
    reason: SuppressionReason | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Import(Query):
    why: Reason | None = None
    """Goes into the audit log."""


class Identity(Body):
    """A sender: who messages come from."""

    address: Address
    name: Annotated[str, Field(max_length=200)] = ""
    gateways: list[Word] | None = None
    """The gateways where it is verified; left out, all."""
    ip_pool: Word | None = None
    default_for: Annotated[list[MessageType], Field(default_factory=list)]
    is_active: bool = True

    def draft(self) -> SenderDraft:
        """Give this in the services' words."""
        gateways = None if self.gateways is None else tuple(self.gateways)
        return SenderDraft(
            **{**vars(self), "gateways": gateways, "default_for": tuple(self.default_for)},
        )


class Senders(Query):
    channel: Channel | None = None
