"""SendGrid's event webhook: arrays of events, signed by ECDSA over the time and the body."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from itertools import groupby

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.simulator.accounts.sendgrid import SIGNING_NUMBER
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate
from app.simulator.serials import token_of

PATH = "/webhooks/sendgrid"
_TRIES = 10
_TIMEOUT = 10.0
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) Simulated/1.0"
_OUR_TAG = "tocsin"

Event = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One recipient of a request, with what its events carry along."""

    address: str
    tag: str
    tags: Mapping[str, Sequence[str]]


def entries_of(body: Mapping[str, object]) -> list[Entry]:
    """Read the recipients of a body that is in order."""
    categories, shared = body.get("categories") or [], body.get("custom_args") or {}
    entries = []
    for each in body["personalizations"]:  # type: ignore[attr-defined]  # it is in order
        told = {**shared, **(each.get("custom_args") or {})}  # type: ignore[dict-item]
        tags = {name: [str(value)] for name, value in told.items()}
        if categories:
            tags["category"] = categories  # type: ignore[assignment]
        entries.append(Entry(address=each["to"][0]["email"], tag=str(told.get(_OUR_TAG, "")), tags=tags))
    return entries


def told(accepted: Sequence[Acceptance], now: datetime) -> list[Webhook]:
    """Tell of all messages of a request together, one array for each step."""
    events = [
        (step, _event(acceptance, kind, now, step))
        for acceptance in accepted
        for step, kind in enumerate(_KINDS.get(acceptance.fate, _DELIVERED), start=1)
    ]
    events.sort(key=lambda each: each[0])
    return [
        _webhook(step, [event for _, event in group])
        for step, group in groupby(events, key=lambda each: each[0])
    ]


def _webhook(step: int, events: Sequence[Event]) -> Webhook:
    return Webhook(
        path=PATH,
        step=step,
        compose=partial(_compose, events),
        tries=_TRIES,
        timeout=_TIMEOUT,
        given_up_at=_never,
    )


def _compose(events: Sequence[Event], now: datetime) -> Post:
    # Each ends with a line break of its own, which is signed along.
    return signed(orjson.dumps(events) + b"\r\n", now)


def signed(body: bytes, now: datetime) -> Post:
    """Sign a body as SendGrid does."""
    time = str(int(now.timestamp()))
    signature = _key().sign(time.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "content-type": "application/json",
        "user-agent": "SendGrid Event API",
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": time,
    }
    return Post(headers=headers, body=body)


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(SIGNING_NUMBER, ec.SECP256R1())


def _event(acceptance: Acceptance, kind: str, now: datetime, step: int) -> Event:
    name = acceptance.mail.external_id
    own = {key: values if key == "category" else values[0] for key, values in acceptance.mail.tags.items()}
    event, details = _EVENTS[kind]
    return {
        **own,
        "email": acceptance.address,
        "timestamp": int((now + step * STEP).timestamp()),
        "smtp-id": f"<{name}@simulator>",
        "event": event,
        "sg_event_id": f"{kind}-{token_of(acceptance.serial)}",
        "sg_message_id": f"{name}.recvd-simulated-1-{acceptance.serial}.0",
        **details,
    }


def _never(_status: int) -> bool:
    return False


_HUMAN = {"useragent": _AGENT, "ip": "192.0.2.1"}
_EVENTS: Mapping[str, tuple[str, Event]] = {
    "processed": ("processed", {}),
    "delivered": ("delivered", {"response": "250 2.0.0 OK", "ip": "192.0.2.9", "tls": 1}),
    "deferred": ("deferred", {"response": "451 4.7.1 Greylisted, please try again later", "attempt": "1"}),
    "open": ("open", {**_HUMAN, "sg_machine_open": False}),
    "click": ("click", {**_HUMAN, "url": "https://example.com/", "url_offset": {"index": 0, "type": "html"}}),
    "unsubscribe": ("unsubscribe", {}),
    "spamreport": ("spamreport", {}),
    "bounce": (
        "bounce",
        {"type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such mailbox", "ip": "192.0.2.9"},
    ),
    "blocked": (
        "bounce",
        {"type": "blocked", "status": "4.2.2", "reason": "452 4.2.2 mailbox full", "ip": "192.0.2.9"},
    ),
    "bounced-before": ("dropped", {"reason": "Bounced Address", "status": "5.0.0"}),
    "spam": ("dropped", {"reason": "Spam Content", "status": "5.0.0"}),
    "quota": ("dropped", {"reason": "Recipient List over Package Quota", "status": "5.0.0"}),
}
_DELIVERED: Sequence[str] = ("processed", "delivered")
_KINDS: Mapping[Fate, Sequence[str]] = {
    Fate.OPEN: (*_DELIVERED, "open"),
    Fate.CLICK: (*_DELIVERED, "open", "click"),
    Fate.UNSUBSCRIBE: (*_DELIVERED, "unsubscribe"),
    Fate.COMPLAINT: (*_DELIVERED, "spamreport"),
    Fate.DEFERRED: ("processed", "deferred", "delivered"),
    Fate.SOFT_BOUNCE: ("processed", "deferred", "blocked"),
    Fate.BOUNCE: ("processed", "bounce"),
    Fate.LATE_BOUNCE: (*_DELIVERED, "bounce"),
    Fate.SUPPRESSED: ("bounced-before",),
    Fate.REJECTED: ("spam",),
    Fate.HELD: ("quota",),
}

STORIES: Mapping[Fate, str] = {
    **{fate: ", ".join(_DELIVERED) for fate in (Fate.DELIVERED, Fate.SLOW, Fate.LOST)},
    **{fate: ", ".join(kinds) for fate, kinds in _KINDS.items()},
    Fate.SOFT_BOUNCE: "processed, deferred, bounce (blocked)",
    Fate.SUPPRESSED: "dropped (Bounced Address)",
    Fate.REJECTED: "dropped (Spam Content)",
    Fate.HELD: "dropped (Recipient List over Package Quota)",
    Fate.THROTTLED: "429, X-RateLimit-Reset",
    Fate.SILENT: "nothing",
    Fate.DOWN: "503, an HTML page",
    Fate.GARBAGE: "200, half an HTML page",
}
