"""Email through SendGrid's API, version 3: up to 1,000 messages a request, each with a tag of its own."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Self

import orjson

from app.domain.outcomes import Outcome
from app.domain.vocabulary import Channel, OutcomeClass
from app.errors import ConfigurationError, Invalid
from app.gateways.answers import in_short, json_object, listed, part
from app.gateways.base import Envelope, HttpRequest, HttpResponse
from app.gateways.email.mail import unsendable
from app.gateways.email.sendgrid.personalizing import (
    categories_of,
    is_dynamic,
    options_of,
    request_body,
    template_of,
)
from app.gateways.email.sendgrid.refusals import refusals
from app.gateways.email.sendgrid.sharing import MOST_SUBSTITUTED, joinable
from app.gateways.probing import PROBE_TIMEOUT, outcome_by_status, refused_account
from app.settings import Settings

_PATH = "/v3/mail/send"
_SCOPES = "/v3/scopes"
_MOST_MESSAGES = 1000
_MOST_CATEGORIES = 10
_LONGEST_CATEGORY = 255
_MOST_BYTES = 30 * 1024 * 1024
# With less than this shared and less than this of its own for each, a full request keeps below 30 MB.
_MOST_SHARED = 12 * 1024 * 1024
_MOST_OWN = 4_000
_ACCEPTED = 202
_CHECKED_ONLY = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class SendGrid:
    """One account at SendGrid, by an API key of it. `pools` are the IP pools that it has."""

    url: str
    api_key: str = field(repr=False)
    pools: frozenset[str] = frozenset()
    timeout: timedelta = timedelta(seconds=15)
    name: str = "sendgrid"
    channel: Channel = Channel.EMAIL
    batch: int = _MOST_MESSAGES

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the gateway that the settings describe; None without an API key."""
        if not settings.sendgrid_api_key:
            if settings.sendgrid_webhook_public_keys:
                raise ConfigurationError("SENDGRID_WEBHOOK_PUBLIC_KEYS is set without SENDGRID_API_KEY.")
            return None
        return cls(
            url=settings.sendgrid_url.rstrip("/"),
            api_key=settings.sendgrid_api_key.get_secret_value(),
            pools=frozenset(settings.sendgrid_ip_pools),
            timeout=timedelta(seconds=settings.gateway_timeout_seconds),
        )

    def joint(self, messages: Sequence[Envelope]) -> int:
        """Tell how many messages from the front one request can carry, at least one.

        They share all but recipient, subject, headers, a template's data and a few lines of content,
        and no address is among them twice.
        """
        alike = sum(1 for _ in _alike(messages))
        if template_of(messages[0]) is not None:
            return max(alike, 1)
        return joinable(messages[: max(alike, 1)])

    def build(self, messages: Sequence[Envelope], now: datetime) -> HttpRequest:  # noqa: ARG002 — SendGrid takes no time; the protocol gives one.
        """Make the request for messages that are `joint`; raises Invalid where one cannot be expressed."""
        for message in messages:
            if fault := self.cannot_express(message):
                raise Invalid.of("message", fault)
        return HttpRequest(
            url=f"{self.url}{_PATH}",
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.api_key}"},
            body=orjson.dumps(request_body(messages, self.pools)),
            timeout=self.timeout,
        )

    def read(self, messages: Sequence[Envelope], response: HttpResponse) -> list[Outcome]:
        """Tell what the answer means for each message."""
        if response.status == _ACCEPTED:
            request_id = response.headers.get("x-message-id", "")
            return [
                Outcome(kind=OutcomeClass.ACCEPTED, external_id=external_id(request_id, message.address))
                for message in messages
            ]
        if response.status == _CHECKED_ONLY and options_of(messages[0]).get("sandbox"):
            return [Outcome(kind=OutcomeClass.ACCEPTED, code="sandbox")] * len(messages)
        return refusals(messages, response)

    def probe(self, now: datetime) -> HttpRequest:  # noqa: ARG002 — SendGrid takes no time; the protocol gives one.
        """Ask what the key may do, which every key may."""
        return HttpRequest(
            url=f"{self.url}{_SCOPES}",
            headers={"Authorization": f"Bearer {self.api_key}"},
            body=b"",
            method="GET",
            timeout=PROBE_TIMEOUT,
        )

    def read_probe(self, response: HttpResponse) -> Outcome:
        """Tell whether the key is known, and may send."""
        outcome = outcome_by_status(response)
        scopes = listed(json_object(response.body), "scopes")
        if outcome.kind is OutcomeClass.ACCEPTED and "mail.send" not in scopes:
            return refused_account("no_scope", "the key lacks the scope mail.send")
        return outcome

    def cannot_express(self, message: Envelope) -> str | None:
        """Name what would not get through SendGrid: too many categories, too much of all."""
        fault = unsendable(message, has_content=template_of(message) is not None)
        return fault or next(_excesses(message), None)


def external_id(request_id: str, address: str) -> str | None:
    """Make one recipient's id out of the request's, which all recipients of a request have in common.

    What follows the first dot in an event's id is of SendGrid's own servers.
    """
    request = in_short(request_id.partition(".")[0])
    recipient = hashlib.blake2b(address.lower().encode(), digest_size=6).hexdigest()
    return f"{request}.{recipient}" if request else None


def _alike(messages: Sequence[Envelope]) -> Iterator[Envelope]:
    """Give the messages from the front that could share a request with the first, but for their content."""
    first, addresses = messages[0], set[str]()
    if _shared_bytes(first) > _MOST_SHARED:
        return
    for message in islice(messages, _MOST_MESSAGES):
        address = message.address.lower()
        if address in addresses or not _shares_all(first, message) or not _is_small(message):
            return
        addresses.add(address)
        yield message


def _shares_all(first: Envelope, other: Envelope) -> bool:
    return (
        first.sender == other.sender
        and first.reply_to == other.reply_to
        and first.ip_pool == other.ip_pool
        and first.category == other.category
        and bool(first.text) == bool(other.text)
        and bool(first.html) == bool(other.html)
        and first.attachments == other.attachments
        and (first.options is other.options or _same_options(first, other))
    )


def _same_options(first: Envelope, other: Envelope) -> bool:
    """Compare what the caller asked for, but for a template's data, which each message brings."""
    one, two = options_of(first), options_of(other)
    names = (one.keys() | two.keys()) - {"template_data"}
    if any(one.get(name) != two.get(name) for name in names):
        return False
    # The words beside an older template are shared as they are.
    return template_of(first) is None or (first.text, first.html) == (other.text, other.html)


def _is_small(message: Envelope) -> bool:
    """Tell whether what a message brings of its own leaves room for others."""
    own = len(message.subject or "") + sum(len(name) + len(value) for name, value in message.headers.items())
    if own > _MOST_OWN:
        return False
    data = part(options_of(message), "template_data")
    return not data or len(orjson.dumps(data)) <= MOST_SUBSTITUTED


def _is_large(message: Envelope) -> bool:
    """Tell whether a message may be too much, without counting its bytes: a character has four at most."""
    characters = len(message.text or "") + len(message.html or "")
    return bool(message.attachments) or 4 * characters > _MOST_BYTES


def _shared_bytes(message: Envelope) -> int:
    in_base64 = sum((len(each.content) + 2) // 3 * 4 for each in message.attachments)
    return in_base64 + sum(len(body.encode()) for body in (message.text, message.html) if body)


def _excesses(message: Envelope) -> Iterator[str]:
    template, categories = template_of(message), categories_of(message)
    if not message.subject and template is None:
        yield "a message without a subject"
    if len(categories) > _MOST_CATEGORIES:
        yield f"more than {_MOST_CATEGORIES} categories"
    if any(len(category) > _LONGEST_CATEGORY for category in categories):
        yield "the length of a category"
    if template is not None and not is_dynamic(template) and not _is_small(message):
        yield "the length of a template's data"
    if _is_large(message) and _shared_bytes(message) > _MOST_BYTES:
        yield "more than 30 MB"
