"""MessageBird's calls to us: all by GET, all in the address, proven by a token over the address."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import quote, urlsplit
from uuid import uuid4

import orjson

from app.simulator.accounts.messagebird import MESSAGEBIRD_SIGNING_KEY
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate
from app.simulator.texts import Incoming, stop_after

PATH = "/webhooks/messagebird"
_TRIES = 10
_TIMEOUT = 10.0
_LIFE = 60  # seconds

Parameters = Mapping[str, str]


def told(acceptance: Acceptance, own_url: str, now: datetime) -> list[Webhook]:
    """List the reports that follow one recipient's message, to the address that the request named."""
    mail = acceptance.mail
    statuses = _STATUSES.get(acceptance.fate, _DELIVERED)
    webhooks = [
        _webhook(mail.details["reportUrl"], _report(acceptance, status, code, now + step * STEP), step)
        for step, (status, code) in enumerate(statuses, start=1)
    ]
    if acceptance.fate is Fate.UNSUBSCRIBE:
        webhooks.append(received(stop_after(acceptance), own_url, now, step=len(webhooks) + 1))
    return webhooks


def received(incoming: Incoming, own_url: str, now: datetime, *, step: int) -> Webhook:
    """Make the call about a text that somebody wrote, to the account's own address."""
    parameters = {
        "id": incoming.name,
        "recipient": incoming.recipient.removeprefix("+"),
        "originator": incoming.sender.removeprefix("+"),
        "body": incoming.words,
        "createdDatetime": spelt(now + step * STEP),
    }
    return _webhook(own_url, parameters, step)


def final_state(fate: Fate) -> tuple[str, str]:
    """Say what the list says of a text in the end: its status, and the code of an error."""
    return _STATUSES.get(fate, _DELIVERED)[-1]


def spelt(moment: datetime) -> str:
    """Write a time as MessageBird does: to the second, with its offset."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}+00:00"


def _report(acceptance: Acceptance, status: str, code: str, at: datetime) -> Parameters:
    return {
        "id": acceptance.mail.external_id,
        "reference": acceptance.tag,
        "recipient": acceptance.address,
        "status": status,
        "statusDatetime": spelt(at),
        "statusReason": _REASONS.get(code, ""),
        "statusErrorCode": code,
        "mccmnc": "310012",
        "ported": "0",
    }


def _webhook(url: str, parameters: Parameters, step: int) -> Webhook:
    # Words are encoded; a time's colons and plus are not, as they never are there.
    query = "&".join(f"{name}={quote(value, safe=':+')}" for name, value in parameters.items())
    whole = f"{url}{'&' if urlsplit(url).query else '?'}{query}"
    return Webhook(
        path=PATH,
        step=step,
        compose=partial(_compose, whole),
        tries=_TRIES,
        timeout=_TIMEOUT,
        given_up_at=_never,
    )


def _compose(url: str, now: datetime) -> Post:
    parts = urlsplit(url)
    headers = {"user-agent": "MessageBird", "messagebird-signature-jwt": token(url, now)}
    return Post(method="GET", path=f"{parts.path}?{parts.query}", headers=headers, body=b"")


def token(url: str, now: datetime) -> str:
    """Sign an address, for a call without a body."""
    start = int(now.timestamp())
    claims = {
        "iss": "MessageBird",
        "nbf": start,
        "exp": start + _LIFE,
        "jti": str(uuid4()),
        "url_hash": hashlib.sha256(url.encode()).hexdigest(),
    }
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    signature = hmac.digest(MESSAGEBIRD_SIGNING_KEY.encode(), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def _encoded(value: object) -> str:
    return _base64url(orjson.dumps(value))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _never(_status: int) -> bool:
    return False


_REASONS = {
    "1": "unknown subscriber",
    "103": "opted out",
    "104": "sender unregistered",
    "105": "content unregistered",
}

_DELIVERED: Sequence[tuple[str, str]] = (("sent", ""), ("delivered", ""))
_STATUSES: Mapping[Fate, Sequence[tuple[str, str]]] = {
    Fate.DEFERRED: (("buffered", ""), ("delivered", "")),
    Fate.SOFT_BOUNCE: (("buffered", ""), ("expired", "")),
    Fate.BOUNCE: (("delivery_failed", "1"),),
    Fate.SUPPRESSED: (("delivery_failed", "103"),),
    Fate.REJECTED: (("delivery_failed", "105"),),
    Fate.HELD: (("delivery_failed", "104"),),
}

# What each fate is told as, in MessageBird's own words.
STORIES: Mapping[Fate, str] = {
    Fate.DELIVERED: "sent, delivered",
    Fate.UNSUBSCRIBE: "sent, delivered, and a text STOP",
    Fate.DEFERRED: "buffered, delivered",
    Fate.SOFT_BOUNCE: "buffered, expired",
    Fate.BOUNCE: "delivery_failed (1)",
    Fate.LATE_BOUNCE: "sent, delivered (a delivered text fails no more)",
    Fate.SUPPRESSED: "delivery_failed (103)",
    Fate.REJECTED: "delivery_failed (105)",
    Fate.HELD: "delivery_failed (104)",
    Fate.THROTTLED: "429",
    Fate.DOWN: "503, an HTML page",
}
