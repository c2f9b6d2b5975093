"""Bodies and queries about messages and batches."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.api.models.base import Address, Base64, Body, Id, Locale, Plain, Query, Slug, Time, Word
from app.api.models.options import EmailOptions, PushOptions, SmsOptions, VoiceOptions, WhatsAppOptions
from app.domain.vocabulary import Channel, EventType, MessageType, Priority, Status
from app.services.requests import BulkHead, File, Filters, SendRequest


class Attachment(Body):
    """A file that goes with an email."""

    filename: Word
    content_type: Annotated[str, Field(max_length=255, pattern=r"^[\w.+-]+/[\w.+-]+$")]
    content: Base64
    """The file's bytes."""
    content_id: Word | None = None
    """For images that the HTML names as `cid:…`."""


class Shared(Body):
    """What a single message and a bulk request have in common."""

    channel: Channel
    priority: Priority
    """The message type's own priority; another one needs a scope."""
    message_type: MessageType
    category: Word | None = None
    """The caller's own kind of message, from which people can unsubscribe."""
    community_id: Id | None = None
    """The community on whose behalf this is sent; suppressions may be limited to one."""
    source_type: Word | None = None
    """With `source_id` the caller's own reference, by which messages are found again."""
    source_id: Id | None = None
    template: Slug | None = None
    """A template's slug, instead of `subject` and bodies."""
    locale: Locale | None = None
    subject: Annotated[str, Field(max_length=998)] | None = None
    body_text: str | None = None
    body_html: str | None = None
    sender: Slug | None = None
    """A configured identity; each message type has a default one."""
    reply_to: Address | None = None
    headers: Annotated[dict[str, str], Field(max_length=30, default_factory=dict)]
    """In-Reply-To, References and List-… only."""
    attachments: Annotated[list[Attachment], Field(max_length=30, default_factory=list)]
    metadata: Annotated[Plain, Field(max_length=50, default_factory=dict)]
    """A few values of the caller's own, which come back in events."""
    ip_pool: Word | None = None
    gateway: Word | None = None
    """The one gateway to use; needs a scope."""
    platform: Literal["apns", "fcm"] | None = None
    """For push: what issued the token."""
    email: EmailOptions | None = None
    """Of these five, only the one for the message's own channel."""
    sms: SmsOptions | None = None
    whatsapp: WhatsAppOptions | None = None
    voice: VoiceOptions | None = None
    push: PushOptions | None = None
    scheduled_for: Time | None = None
    expires_at: Time | None = None

    def head(self) -> dict[str, Any]:
        """Give the fields of a request in the services' words."""
        given = dict(vars(self))
        sections = {channel: given.pop(channel.value) for channel in Channel}
        return given | {
            "attachments": tuple(File(**vars(attachment)) for attachment in self.attachments),
            "sections": {
                channel: section.model_dump(mode="json", exclude_none=True)
                for channel, section in sections.items()
                if section is not None
            },
        }


class SendMessage(Shared):
    """One message to one recipient."""

    recipient_address: Address | None = None
    """An email address, a number as +41791234567, a device token, `topic:<name>` or `condition:<expression>`.
    Only a push may leave it out: it then goes to all devices of the recipient that are in use, or to those
    of `platform`."""
    recipient_type: Word | None = None
    recipient_id: Id | None = None
    data: Annotated[Plain, Field(default_factory=dict)]
    """Values of the template's variables."""

    def request(self) -> SendRequest:
        """Give this in the services' words."""
        return SendRequest(**self.head())


class BatchHead(Shared):
    """What all messages of a bulk request share."""

    shared_data: Annotated[Plain, Field(default_factory=dict)]
    """Values of the template's variables for everybody; a recipient's own win."""
    allow_duplicates: bool = False
    """Send to an address as often as it is listed."""

    def request(self) -> BulkHead:
        """Give this in the services' words."""
        return BulkHead(**self.head())


class Recipient(Body):
    """One recipient of a bulk request."""

    address: Address
    id: Id | None = None
    type: Word | None = None
    data: Plain | None = None


class Batch(BatchHead):
    """A bulk request in one JSON body. A recipient that cannot be is rejected and stops no other."""

    recipients: Annotated[list[Recipient], Field(min_length=1)]


class ReportedEvent(Body):
    """Something that the caller knows about a message."""

    event_type: Literal[EventType.CONVERTED, EventType.REPLIED, EventType.CONFIRMED]
    data: Annotated[Plain, Field(max_length=50, default_factory=dict)]


class Search(Query):
    """What messages are searched by; all that is given must hold."""

    source_type: Word | None = None
    source_id: Id | None = None
    recipient_address: Address | None = None
    """Needs `channel` for all but email."""
    channel: Channel | None = None
    status: Status | None = None
    priority: Priority | None = None
    batch: UUID | None = None
    external_id: Word | None = None
    since: Time | None = None
    until: Time | None = None
    cursor: Annotated[str, Field(max_length=500)] | None = None
    """As `next` in the page before."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50

    def filters(self) -> Filters:
        """Give this in the services' words."""
        return Filters(**{name: getattr(self, name) for name in Filters.__dataclass_fields__})
