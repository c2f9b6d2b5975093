"""Bodies and queries about messages and batches."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.api.models.base import Address, Base64, Body, Id, Locale, Plain, Query, Slug, Time, Word
from app.api.models.options import Sections
from app.domain.vocabulary import Channel, EventType, MessageType, Priority, Status
from app.services.following import StepDraft
from app.services.requests import BulkHead, File, Filters, SendRequest


class Attachment(Body):
    """A file that goes with an email."""

    filename: Word
    content_type: Annotated[str, Field(max_length=255, pattern=r"^[\w.+-]+/[\w.+-]+$")]
    content: Base64
    """The file's bytes."""
    content_id: Word | None = None
    """For images that the HTML names as `cid:…`."""


def files(attachments: list[Attachment]) -> tuple[File, ...]:
    """Give attachments in the services' words."""
    return tuple(File(**vars(attachment)) for attachment in attachments)


class Shared(Sections):
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
    """The gateway to use; needs a scope. No other takes the message: while this one is out of use it waits,
    until it expires. P0 and P4 only begin there, and go through the others where it is out of use, ill or
    fails them."""
    gateway_only: bool = False
    """Let no other gateway than the named one take a message of P0 or P4 either: it waits or fails there."""
    platform: Literal["apns", "fcm"] | None = None
    """For push: what issued the token."""
    scheduled_for: Time | None = None
    expires_at: Time | None = None

    def head(self) -> dict[str, Any]:
        """Give the fields of a request in the services' words."""
        given = {name: value for name, value in vars(self).items() if name not in Sections.model_fields}
        return given | {"attachments": files(self.attachments), "sections": self.sections()}


class Step(Sections):
    """A message that follows unless an earlier one has arrived by then.

    What is left out is as in the message before all steps, where it makes sense in this step's channel.
    """

    channel: Channel
    after_seconds: Annotated[int, Field(ge=1, le=7 * 24 * 3600)]
    """How long to wait behind the step before."""
    until: Literal["delivered", "confirmed"] = "delivered"
    """What stops this step: an earlier message that was delivered or confirmed, or only one confirmed."""
    recipient_address: Address | None = None
    """May be left out where the first message's is a number and so is this one's."""
    recipient_type: Word | None = None
    recipient_id: Id | None = None
    template: Slug | None = None
    locale: Locale | None = None
    subject: Annotated[str, Field(max_length=998)] | None = None
    body_text: str | None = None
    body_html: str | None = None
    data: Plain | None = None
    sender: Slug | None = None
    reply_to: Address | None = None
    attachments: Annotated[list[Attachment], Field(max_length=30)] | None = None
    ip_pool: Word | None = None
    gateway: Word | None = None
    gateway_only: bool | None = None
    platform: Literal["apns", "fcm"] | None = None

    def draft(self) -> StepDraft:
        """Give this in the services' words."""
        own = {"channel", "after_seconds", "until", *Sections.model_fields}
        changes = {name: value for name, value in vars(self).items() if name not in own and value is not None}
        if self.attachments is not None:
            changes["attachments"] = files(self.attachments)
        if sections := self.sections():
            changes["sections"] = sections
        after = timedelta(seconds=self.after_seconds)
        return StepDraft(channel=self.channel, after=after, until=self.until, changes=changes)


class Message(Shared):
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


class SendMessage(Message):
    """One message to one recipient, and what is to follow it."""

    sequence: Annotated[list[Step], Field(min_length=1, max_length=10)] | None = None
    """Messages that follow this one until one of them arrives."""

    def request(self) -> SendRequest:
        """Give this in the services' words, without what follows."""
        return SendRequest(**{name: value for name, value in self.head().items() if name != "sequence"})

    def steps(self) -> list[StepDraft]:
        """Give what follows in the services' words."""
        return [step.draft() for step in self.sequence or ()]


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
