"""Bodies and queries about devices, topics and what people send us, and answers put together from them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.api.models.answers import Answer
from app.api.models.base import Address, Body, Id, Locale, Plain, Query, Slug, Time, Word
from app.api.models.messages import Shared
from app.api.models.rules import Cursor, Limit
from app.domain.facts import InboundKind
from app.domain.vocabulary import Channel
from app.services.devices import DeviceDraft, DeviceView
from app.services.inbound_messages import InboundFilters
from app.services.requests import BulkHead
from app.services.topics import TokenResult

Platform = Literal["apns", "fcm"]


class NewDevice(Body):
    """A device as its app registers it; the token tells whether it is known."""

    token: Address
    platform: Platform
    """What issued the token."""
    recipient_id: Id
    recipient_type: Word | None = None
    device: Literal["ios", "android", "web"] | None = None
    app: Word | None = None
    """The app's identifier; for APNs its topic."""
    locale: Locale | None = None
    last_seen_at: Time | None = None
    """Now, where it is left out."""

    def draft(self) -> DeviceDraft:
        """Give this in the services' words."""
        return DeviceDraft(**vars(self))


class RefreshedToken(Body):
    token: Address
    """The one that was."""
    new_token: Address


class Token(Body):
    token: Address


class TokenToCheck(Body):
    token: Address
    platform: Platform


class Devices(Query):
    recipient_type: Word | None = None
    recipient_id: Id | None = None
    token: Address | None = None
    platform: Platform | None = None
    is_active: bool | None = None
    cursor: Cursor | None = None
    limit: Limit = 50


class Registered(Answer):
    """A device as it is registered now, and whether it is new."""

    device: DeviceView
    is_new: bool


class NewTopic(Body):
    name: Slug
    description: Annotated[str, Field(max_length=1000)] = ""


class Tokens(Body):
    """Tokens of registered devices."""

    tokens: Annotated[list[Address], Field(min_length=1)]
    """10,000 at most."""


class Members(Query):
    cursor: Cursor | None = None
    limit: Limit = 50


class Told(Answer):
    """What became of each token, in the order they were given, and how many came to what."""

    topic: str
    counts: dict[str, int]
    results: list[TokenResult]


class TopicMessage(Shared):
    """What a topic's members are to be sent; `channel` is `push`."""

    shared_data: Annotated[Plain, Field(default_factory=dict)]
    """Values of the template's variables for everybody."""

    def request(self) -> BulkHead:
        """Give this in the services' words."""
        return BulkHead(**self.head())


class TopicBatch(Answer):
    """The batch of one platform's members."""

    platform: Platform
    batch: UUID
    received: int
    links: dict[str, str]


class TopicBatches(Answer):
    items: list[TopicBatch]


class Received(Query):
    channel: Channel | None = None
    kind: InboundKind | None = None
    sender: Address | None = None
    """Who wrote, as in +41791234567."""
    recipient: Address | None = None
    """Our number or service."""
    message: UUID | None = None
    """The message of ours that is answered."""
    since: Time | None = None
    until: Time | None = None
    cursor: Cursor | None = None
    limit: Limit = 50

    def filters(self) -> InboundFilters:
        """Give this in the services' words."""
        return InboundFilters(**{name: getattr(self, name) for name in InboundFilters.__dataclass_fields__})
