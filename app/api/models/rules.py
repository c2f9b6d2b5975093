"""Bodies and queries about templates, suppressions and senders."""

from typing import Annotated, Any, Literal

from pydantic import Field

from app.api.models.base import Address, Body, Id, Locale, Plain, Query, Reason, Slug, Time, Version, Word
from app.domain.rendering import Variable
from app.domain.vocabulary import Channel, MessageType, SuppressionReason
from app.services.senders import SenderDraft
from app.services.suppressions import SuppressionDraft
from app.services.templates import TemplateDraft

Cursor = Annotated[str, Field(max_length=500)]
Limit = Annotated[int, Field(ge=1, le=200)]


class TemplateVariable(Body):
    """What a template declares about one of its variables."""

    name: Word
    type: Literal["string", "number", "boolean", "list", "object", "url"] = "string"
    required: bool = True
    example: Any = None
    default: Any = None


class Content(Body):
    """What a version of a template says."""

    name: Word
    description: Annotated[str, Field(max_length=2000)] = ""
    subject: str | None = None
    body_html: str | None = None
    body_text: str | None = None
    variables: list[TemplateVariable] | None = None
    """Where it is left out, each variable that the parts use is a required string."""

    def draft(self) -> TemplateDraft:
        """Give this in the services' words."""
        variables = self.variables
        declared = None if variables is None else tuple(Variable(**vars(item)) for item in variables)
        return TemplateDraft(
            name=self.name,
            description=self.description,
            subject=self.subject,
            body_html=self.body_html,
            body_text=self.body_text,
            variables=declared,
        )


class NewVersion(Content):
    """A new template, or the next version of one that is there."""

    slug: Slug
    channel: Channel
    locale: Locale | None = None
    activate: bool = True
    """Whether new messages use this version from now on."""


class Activation(Body):
    version: Version
    locale: Locale | None = None


class Preview(Body):
    """Examples stand in for what `data` leaves out."""

    data: Annotated[Plain, Field(default_factory=dict)]
    locale: Locale | None = None
    version: Version | None = None


class DraftPreview(Body):
    """A template that is not saved, and data to fill it in."""

    template: Content
    data: Annotated[Plain, Field(default_factory=dict)]


class InLocale(Query):
    locale: Locale | None = None


class Templates(Query):
    channel: Channel | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Versions(Query):
    locale: Locale | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


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
