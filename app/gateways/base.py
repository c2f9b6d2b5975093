"""What a gateway is: pure functions between our messages and a vendor's wire format.

Nothing here or in a vendor's module does I/O. `transport.py` carries requests out;
`docs/adding_a_gateway.md` says what to write for another vendor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from app.domain.facts import Fact, Inbound, Tag
from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that goes with an email; `content` is the file's bytes."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """One rendered message for one recipient, ready for a gateway to put on the wire.

    `sender` is "Name <address>" or a bare address for email; a number or service for others.
    `expires_at` lets a gateway that takes a validity period get the time left.
    """

    tag: Tag
    channel: Channel
    address: str
    sender: str
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    reply_to: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()
    ip_pool: str | None = None
    category: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """One HTTP request to a gateway. `timeout` is for the whole exchange, from connect to last byte."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"
    timeout: timedelta = timedelta(seconds=15)
    connect_timeout: timedelta = timedelta(seconds=5)
    http2: bool = False


class Tls(StrEnum):
    """Whether what a relay hears is to be encrypted: always, where the relay offers it, or not at all."""

    REQUIRED = "required"
    OFFERED = "offered"
    NEVER = "never"


@dataclass(frozen=True, kw_only=True, slots=True)
class MailRequest:
    """One mail for one recipient, to be given to a relay by SMTP.

    `url` is smtp://host:port, or smtps://… where TLS begins before the first word; its path is the name
    that we give ourselves. `body` is a whole mail as RFC 5322 has it, in lines that end with CRLF.
    `timeout` is for the whole exchange; `connect_timeout` for being let in, for which many relays let
    strangers wait.
    """

    url: str
    mail_from: str
    recipient: str
    body: bytes
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls.REQUIRED
    timeout: timedelta = timedelta(seconds=15)
    connect_timeout: timedelta = timedelta(seconds=10)


Request = HttpRequest | MailRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """A complete answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailReply(HttpResponse):
    """The reply with which an SMTP exchange ended: its code as `status`, its text as `body`.

    `command` is what it answers: EHLO (for all up to that), AUTH, MAIL, RCPT, DATA, or DOT for the mail
    itself.
    """

    command: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpFailure:
    """No complete answer came.

    `written` says whether any byte of the request may have left us; of a mail, whether its last may have:
    a relay takes nothing before.
    """

    written: bool
    detail: str
    timed_out: bool = False
    elapsed: timedelta = timedelta(0)


def outcome_of_failure(failure: HttpFailure) -> Outcome:
    """Tell what no answer means: what never left us can be sent again, all else may have been taken."""
    if not failure.written:
        return Outcome(kind=OutcomeClass.TRANSIENT, code="not_sent", detail=failure.detail)
    code = "timed_out" if failure.timed_out else "no_answer"
    return Outcome(kind=OutcomeClass.UNKNOWN, code=code, detail=failure.detail)


class Gateway(Protocol):
    """A vendor's sending side. `batch` is how many messages one request may carry."""

    @property
    def name(self) -> str: ...

    @property
    def channel(self) -> Channel: ...

    @property
    def batch(self) -> int: ...

    def build(self, messages: Sequence[Envelope], now: datetime) -> Request:
        """Make the request that sends these messages; `now` goes into signatures and validity periods.

        Raises Invalid for a message that `cannot_express` names something of.
        """
        ...

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means: one outcome a message, in the same order; never raises."""
        ...

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what this gateway would have to drop from the message, or None where all of it fits."""
        ...


@runtime_checkable
class Joining(Protocol):
    """A gateway that cannot put just any messages into one request together."""

    def joint(self, messages: Sequence[Envelope]) -> int:
        """Tell how many messages from the front one request can carry, at least one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiry:
    """A try of which nobody knows what became: what it was to send, and between when and when it was made."""

    message: Envelope
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A message that a gateway has and that may be the one it was asked about; `facts` say how it is.

    It is `certain` where it bears the name of the try; else numbers, words and time speak for it, and it is
    another one where a message of ours is known to have its `external_id`.
    """

    external_id: str
    facts: Sequence[Fact]
    certain: bool = False


@runtime_checkable
class Askable(Protocol):
    """A gateway that can be asked later what became of a message.

    That it finds nothing proves nothing: no vendor here promises that what it has taken is in its list at
    once, or will be.
    """

    def inquire(self, inquiry: Inquiry) -> HttpRequest:
        """Make the request that asks."""
        ...

    def sightings(self, inquiry: Inquiry, response: HttpResponse) -> list[Sighting] | None:
        """Read what was found; None where the answer tells nothing at all. Never raises."""
        ...


@runtime_checkable
class Probing(Protocol):
    """A gateway whose vendor can be asked whether our account is well, without anything being sent."""

    def probe(self, now: datetime) -> HttpRequest:
        """Make the request that asks; `now` goes into signatures. May raise Unavailable."""
        ...

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell what the answer means: `accepted` where all is well, `config` of the account; never raises.

        What may be a lack of permission to ask, though not to send, is `unknown`.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookRequest:
    """A request to /webhooks/…, as raw as it came. Header names are in lower case.

    `received_at` stands for the time of what a vendor tells without one.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookAnswer:
    """What a vendor reads in the answer to its webhook."""

    body: bytes
    content_type: str
    status: int = 200


class Webhook(Protocol):
    """A vendor's telling side: proof over the raw bytes, then facts."""

    @property
    def name(self) -> str: ...

    def key_url(self, request: WebhookRequest) -> str | None:
        """Say where the key for this request's proof is to be fetched; None when settings hold it.

        The address is checked here against what the vendor may use, so it is safe to fetch.
        Raises Forged where the request names another.
        """
        ...

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:
        """Return where the proof holds over the raw bytes; raise Forged otherwise."""
        ...

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the facts of a proven request; an element that cannot be read is left out, not fatal."""
        ...

    def confirmation_url(self, request: WebhookRequest) -> str | None:
        """Give the address to fetch where this proven request asks us to confirm a subscription."""
        ...

    def inbound(self, request: WebhookRequest) -> list[Inbound]:
        """Read what people sent us; an element that cannot be read is left out."""
        ...

    def answer(self, request: WebhookRequest) -> WebhookAnswer | None:
        """Say what the vendor wants to hear about a request that is kept; None for a plain 200."""
        ...


class QuietWebhook:
    """What most vendors' webhooks have in common: settings hold the key, and nothing else comes by them."""

    __slots__ = ()

    def key_url(self, request: WebhookRequest) -> str | None:  # noqa: ARG002 — no request chooses it.
        """Say that settings hold the key."""
        return None

    def confirmation_url(self, request: WebhookRequest) -> str | None:  # noqa: ARG002 — none asks.
        """Say that nothing is to be confirmed."""
        return None

    def inbound(self, request: WebhookRequest) -> list[Inbound]:  # noqa: ARG002 — none carries any.
        """Say that nobody wrote."""
        return []

    def answer(self, request: WebhookRequest) -> WebhookAnswer | None:  # noqa: ARG002 — all want the same.
        """Leave the answer to us."""
        return None
