"""What Postal tells us afterwards: deliveries, bounces, holds, opens and clicks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.domain.facts import Fact, Tag
from app.domain.vocabulary import EventType, OutcomeClass
from app.errors import ProofUnavailable
from app.gateways.answers import code_in_short, identifier, in_short, json_object, key_of, moment, part, words
from app.gateways.base import QuietWebhook, WebhookRequest
from app.gateways.email.mime import tag_of_message_id
from app.gateways.email.postal.proof import check_signature, key_of_set, key_of_settings
from app.settings import Settings

Meaning = tuple[EventType, OutcomeClass | None]

_SOFT_BOUNCE = (EventType.BOUNCED, OutcomeClass.UNREACHABLE)
_HARD_BOUNCE = (EventType.BOUNCED, OutcomeClass.RECIPIENT)

# Why Postal itself gave a message up, by a part of its own words in lower case.
_MEANING_OF_GIVING_UP: dict[str, Meaning] = {
    "maximum number of delivery attempts": _SOFT_BOUNCE,
    "likely spam": (EventType.FAILED, OutcomeClass.CONTENT),
    "domain no longer exist": (EventType.FAILED, OutcomeClass.CONFIG),
}

# Why Postal holds a message, likewise. An unknown reason is no failure: someone may release it.
_MEANING_OF_HOLDING: dict[str, Meaning] = {
    "on the suppression list": (EventType.FAILED, OutcomeClass.RECIPIENT),
    "send limit": (EventType.FAILED, OutcomeClass.THROTTLE),
    "development mode": (EventType.FAILED, OutcomeClass.CONFIG),
    "credential is configured to hold": (EventType.FAILED, OutcomeClass.CONFIG),
    "suspended": (EventType.FAILED, OutcomeClass.CONFIG),
}
_HELD_FOR_ANOTHER_REASON = (EventType.DEFERRED, OutcomeClass.UNKNOWN)

_PERMANENT_REPLY = re.compile(r"^\s*5[0-9]{2}\b", re.MULTILINE)
_REPLY = re.compile(r"^\s*([245][0-9]{2})\b", re.MULTILINE)
_ENHANCED_STATUS = re.compile(r"(?<![0-9.])([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
# A full mailbox, a limit of size and a policy against us say nothing against the address.
_NOT_THE_ADDRESS = re.compile(r"5\.2\.2|5\.3\.[0-9]+|5\.7\.[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class PostalWebhook(QuietWebhook):
    """Postal's webhooks, proven with the key in settings or, without one, with the server's JWKS."""

    url: str | None = None
    public_key: str | None = None
    accept_sha1: bool = False
    name: str = "postal"

    @classmethod
    def configured(cls, settings: Settings) -> Self | None:
        """Make the webhook that the settings describe; None where they describe none."""
        if not settings.postal_url and not settings.postal_webhook_public_key:
            return None
        return cls(
            url=settings.postal_url.rstrip("/") if settings.postal_url else None,
            public_key=settings.postal_webhook_public_key,
            accept_sha1=settings.postal_accept_sha1,
        )

    def key_url(self, request: WebhookRequest) -> str | None:  # noqa: ARG002 — no request chooses it.
        """Name the server's JWKS, unless settings hold the key."""
        return None if self.public_key else f"{self.url}/.well-known/jwks.json"

    def verify(self, request: WebhookRequest, key: bytes | None, now: datetime) -> None:  # noqa: ARG002 — the signature holds no time.
        """Return where the signature holds over the raw body; `key` is the JWKS that `key_url` names.

        The signature has no time in it: what is told twice is found by the facts' keys.
        """
        proving = self._proving_key(request, key)
        check_signature(request.headers, request.body, proving, accept_sha1=self.accept_sha1)

    def events(self, request: WebhookRequest) -> list[Fact]:
        """Read the one fact of a request; none of what concerns no message of ours.

        No fact comes of incoming mail, nor of DomainDNSError and SendLimit…, which say something
        about the server and about no message.
        """
        told = json_object(request.body)
        read = _READERS.get(words(told, "event"))
        fact = read(told, part(told, "payload")) if read else None
        return [fact] if fact else []

    def _proving_key(self, request: WebhookRequest, key: bytes | None) -> RSAPublicKey:
        if self.public_key:
            return key_of_settings(self.public_key)
        if key is None:
            raise ProofUnavailable("key set")
        return key_of_set(key, request.headers)


def _status_reader(
    status: str, meaning: Callable[[str, str], Meaning]
) -> Callable[[dict[str, Any], dict[str, Any]], Fact | None]:
    def read(told: dict[str, Any], payload: dict[str, Any]) -> Fact | None:
        if words(payload, "status") != status:
            return None
        details, output = words(payload, "details"), words(payload, "output")
        event_type, outcome = meaning(details.lower(), output)
        return _fact(
            told,
            part(payload, "message"),
            event_type,
            when=payload.get("timestamp"),
            distinguished_by=(payload.get("timestamp"),),
            outcome=outcome,
            code=_code(output) or status,
            said=f"{details} {output}",
        )

    return read


def _bounced(told: dict[str, Any], payload: dict[str, Any]) -> Fact | None:
    bounce = part(payload, "bounce")
    if not bounce:
        return None
    said = " ".join(words(place, name) for place in (payload, bounce) for name in ("details", "output"))
    status = _ENHANCED_STATUS.search(said)
    event_type, outcome = _meaning_of_reply(said) if status else _SOFT_BOUNCE
    return _fact(
        told,
        part(payload, "original_message"),
        event_type,
        when=bounce.get("timestamp"),
        distinguished_by=(bounce.get("id"),),
        outcome=outcome,
        code=status[1] if status else "",
        said=said,
    )


def _opened(told: dict[str, Any], payload: dict[str, Any]) -> Fact | None:
    return _seen(EventType.OPENED, told, payload)


def _clicked(told: dict[str, Any], payload: dict[str, Any]) -> Fact | None:
    return _seen(EventType.CLICKED, told, payload) if words(payload, "url") else None


def _seen(event_type: EventType, told: dict[str, Any], payload: dict[str, Any]) -> Fact | None:
    # Opens and clicks carry no time of their own, and the envelope's differs by some milliseconds
    # from one webhook to the next: the same act within one minute is one fact.
    when = moment(told.get("timestamp"))
    minute = when and when.replace(second=0, microsecond=0)
    act = tuple(words(payload, name) for name in ("url", "token", "ip_address", "user_agent"))
    data = {name: in_short(words(payload, name)) for name in ("url", "user_agent") if words(payload, name)}
    return _fact(
        told,
        part(payload, "message"),
        event_type,
        when=told.get("timestamp"),
        distinguished_by=(minute, *act),
        data=data,
    )


def _fact(
    told: dict[str, Any],
    message: dict[str, Any],
    event_type: EventType,
    *,
    when: object,
    distinguished_by: tuple[object, ...],
    outcome: OutcomeClass | None = None,
    code: str = "",
    said: str = "",
    data: Mapping[str, str] | None = None,
) -> Fact | None:
    occurred_at = moment(when) or moment(told.get("timestamp"))
    tag = Tag.parse(words(message, "tag")) or tag_of_message_id(words(message, "message_id"))
    external_id = identifier(message.get("id"))
    if words(message, "direction") == "incoming" or occurred_at is None or not (tag or external_id):
        return None
    return Fact(
        key=key_of("postal", external_id, message.get("token"), told["event"], *distinguished_by),
        event_type=event_type,
        occurred_at=occurred_at,
        tag=tag,
        external_id=external_id,
        external_event_id=identifier(told.get("uuid")),
        outcome=outcome,
        code=code_in_short(code),
        detail=in_short(said, without=[words(message, "to")]),
        data=data or {},
    )


def _meaning_of_sending(_details: str, _output: str) -> Meaning:
    return EventType.DELIVERED, None


def _meaning_of_delay(_details: str, _output: str) -> Meaning:
    return EventType.DEFERRED, OutcomeClass.UNREACHABLE


def _meaning_of_failure(details: str, output: str) -> Meaning:
    return _by_words(_MEANING_OF_GIVING_UP, details) or _meaning_of_reply(output)


def _meaning_of_holding(details: str, _output: str) -> Meaning:
    return _by_words(_MEANING_OF_HOLDING, details) or _HELD_FOR_ANOTHER_REASON


def _meaning_of_reply(output: str) -> Meaning:
    """Tell what the last reply of the recipient's server means: only a clear no is a hard bounce."""
    status = _ENHANCED_STATUS.search(output)
    if status and (status[1][0] != "5" or _NOT_THE_ADDRESS.fullmatch(status[1])):
        return _SOFT_BOUNCE
    return _HARD_BOUNCE if status or _PERMANENT_REPLY.search(output) else _SOFT_BOUNCE


def _by_words(meanings: dict[str, Meaning], details: str) -> Meaning | None:
    return next((meaning for wording, meaning in meanings.items() if wording in details), None)


def _code(output: str) -> str:
    found = _ENHANCED_STATUS.search(output) or _REPLY.search(output)
    return found[1] if found else ""


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Fact | None]] = {
    "MessageSent": _status_reader("Sent", _meaning_of_sending),
    "MessageDelayed": _status_reader("SoftFail", _meaning_of_delay),
    "MessageDeliveryFailed": _status_reader("HardFail", _meaning_of_failure),
    "MessageHeld": _status_reader("Held", _meaning_of_holding),
    "MessageBounced": _bounced,
    "MessageLoaded": _opened,
    "MessageLinkClicked": _clicked,
}
