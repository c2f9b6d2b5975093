"""What a gateway's webhook tells us, in our words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from app.domain.vocabulary import Channel, EventType, OutcomeClass, Priority

_NOTHING: Mapping[str, str | int | bool] = MappingProxyType({})

# Calling an enum takes ten times as long as looking into a dictionary, and tags come by the thousand.
_PRIORITIES = {each.value: each for each in Priority}


class Tag(NamedTuple):
    """What we write into a gateway's metadata, so that its webhooks name the message and the try."""

    uuid: UUID
    priority: Priority
    attempt: int

    def __str__(self) -> str:
        """Spell the tag in letters, digits, `-` and `_` only: SES allows no others."""
        return f"{self.uuid}_{self.priority}_{self.attempt}"

    @classmethod
    def parse(cls, text: str | None) -> "Tag | None":
        """Read a tag back; None for anything that is not one of ours."""
        try:
            uuid, priority, attempt = (text or "").split("_")
            return cls(uuid=UUID(uuid), priority=_PRIORITIES[priority], attempt=int(attempt))
        except (ValueError, LookupError):
            return None


class Fact(NamedTuple):
    """One thing that happened to one recipient's message at a gateway.

    `key` is the same each time the gateway tells the same fact about the same recipient, however
    often and under whatever request id; it counts once. A message is found by `tag`, else by
    `external_id`. `outcome` says what a bounce, a failure or a deferral means: `recipient` for a
    hard bounce, `unreachable` for a soft one, `content`, `config`, `throttle`. `gateway` names the
    gateway where one webhook tells of several. `sender` is set for `unsubscribed` where it holds for
    that sender of ours alone, in canonical form.

    A tuple, as its tag is: they come by the thousand, and to make a frozen dataclass takes thrice as long.
    """

    key: str
    event_type: EventType
    occurred_at: datetime
    tag: Tag | None = None
    external_id: str | None = None
    external_event_id: str | None = None
    outcome: OutcomeClass | None = None
    code: str = ""
    detail: str = ""
    data: Mapping[str, str | int | bool] = _NOTHING
    gateway: str | None = None
    sender: str | None = None


class InboundKind(StrEnum):
    """What somebody sent us: words of their own, or keys pressed during a call."""

    MESSAGE = "message"
    DIGITS = "digits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """Something that a recipient sent to one of our senders.

    `key` as in `Fact`. `sender` is who wrote, `recipient` our number or service, both canonical;
    `number` is which of a service's numbers they wrote to.
    `tag` is set where it answers one message of ours, as keys pressed during its call do. `opt_out`
    is set where the gateway itself understood it: True for STOP, False for START.
    """

    key: str
    kind: InboundKind
    channel: Channel
    sender: str
    recipient: str
    text: str
    received_at: datetime
    external_id: str | None = None
    media: Sequence[str] = ()
    tag: Tag | None = None
    opt_out: bool | None = None
    number: str | None = None

    @property
    def senders(self) -> tuple[str, ...]:
        """Name all that they have written to: who refuses a service has seen but one of its numbers."""
        return (self.recipient, self.number) if self.number else (self.recipient,)
