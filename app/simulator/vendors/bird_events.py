"""Bird's webhook subscriptions: events about texts, signed over time, address and body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import orjson

from app.simulator.accounts.bird import BIRD_CHANNELS, BIRD_SIGNING_KEY
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate
from app.simulator.texts import Incoming, stop_after

PATH = "/webhooks/bird"
_TRIES = 10
_TIMEOUT = 10.0
_NOT_DELIVERED = 15005

Fields = Mapping[str, object]


def told(acceptance: Acceptance, url: str, now: datetime) -> list[Webhook]:
    """List the events that follow one message, one step after the other."""
    statuses = _STATUSES.get(acceptance.fate, _DELIVERED)
    webhooks = [
        _webhook("sms.outbound", message(acceptance, status, now + step * STEP, code), url, step)
        for step, (status, code) in enumerate(statuses, start=1)
    ]
    if acceptance.fate is Fate.UNSUBSCRIBE:
        webhooks.append(received(stop_after(acceptance), url, now, step=len(webhooks) + 1))
    return webhooks


def message(acceptance: Acceptance, status: str, at: datetime, code: str | None = None) -> Fields:
    """Describe a message of ours as it is at this time; `code` says why it failed."""
    failure = {"code": _NOT_DELIVERED, "source": {"name": "sms-messagebird", "code": code}}
    return {
        "id": acceptance.mail.external_id,
        "channelId": acceptance.mail.details["channel"],
        "sender": {"connector": {"id": "simulated", "identifierValue": acceptance.mail.sender}},
        "receiver": {"contacts": [_contact(acceptance.address)]},
        "reference": acceptance.tag,
        "status": status,
        "reason": "",
        "direction": "outgoing",
        "lastStatusAt": spelt(at),
        "createdAt": spelt(at),
        **({"failure": failure} if code else {}),
    }


def received(incoming: Incoming, url: str, now: datetime, *, step: int) -> Webhook:
    """Make the event about a text that somebody wrote; a number without a channel has the first one."""
    at = spelt(now + step * STEP)
    payload = {
        "id": incoming.name,
        "channelId": BIRD_CHANNELS.get(incoming.recipient, next(iter(BIRD_CHANNELS.values()))),
        "sender": {"contact": _contact(incoming.sender)},
        "receiver": {"connector": {"id": "simulated"}},
        "body": {"type": "text", "text": {"text": incoming.words}},
        "status": "delivered",
        "direction": "incoming",
        "lastStatusAt": at,
        "createdAt": at,
    }
    return _webhook("sms.inbound", payload, url, step)


def spelt(moment: datetime) -> str:
    """Write a time as Bird does: UTC, milliseconds, Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _contact(number: str) -> Fields:
    return {"id": "simulated", "identifierKey": "phonenumber", "identifierValue": number}


def _webhook(event: str, payload: Fields, url: str, step: int) -> Webhook:
    body = orjson.dumps({"service": "channels", "event": event, "payload": payload})
    return Webhook(
        path=PATH,
        step=step,
        compose=partial(signed, body, url),
        tries=_TRIES,
        timeout=_TIMEOUT,
        given_up_at=_never,
    )


def signed(body: bytes, url: str, now: datetime) -> Post:
    """Sign a request as Bird does."""
    stamp = str(int(now.timestamp()))
    text = f"{stamp}\n{url}\n".encode() + hashlib.sha256(body).digest()
    signature = hmac.digest(BIRD_SIGNING_KEY.encode(), text, "sha256")
    headers = {
        "content-type": "application/json",
        "messagebird-signature": base64.b64encode(signature).decode(),
        "messagebird-request-timestamp": stamp,
    }
    return Post(headers=headers, body=body)


def _never(_status: int) -> bool:
    return False


Statuses = Sequence[tuple[str, str | None]]

_DELIVERED: Statuses = (("processing", None), ("sent", None), ("delivered", None))
_STATUSES: Mapping[Fate, Statuses] = {
    Fate.SOFT_BOUNCE: (("sent", None), ("delivery_failed", "27")),
    Fate.BOUNCE: (("sent", None), ("delivery_failed", "1")),
    Fate.SUPPRESSED: (("rejected", "103"),),
    Fate.REJECTED: (("rejected", "105"),),
    Fate.HELD: (("sending_failed", "104"),),
}

# What each fate is told as, in Bird's own words.
STORIES: Mapping[Fate, str] = {
    Fate.DELIVERED: "processing, sent, delivered",
    Fate.UNSUBSCRIBE: "processing, sent, delivered, and sms.inbound (STOP)",
    Fate.SOFT_BOUNCE: "sent, delivery_failed (27)",
    Fate.BOUNCE: "sent, delivery_failed (1)",
    Fate.LATE_BOUNCE: "processing, sent, delivered (a delivered text fails no more)",
    Fate.SUPPRESSED: "rejected (103)",
    Fate.REJECTED: "rejected (105)",
    Fate.HELD: "sending_failed (104)",
    Fate.THROTTLED: "429 TooManyRequests",
    Fate.DOWN: "503, an HTML page",
}
