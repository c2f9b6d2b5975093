"""Bandwidth's callbacks: arrays of one event, with HTTP Basic for their only proof."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import orjson

from app.simulator.accounts.bandwidth import BANDWIDTH_APPLICATION_ID, CALLBACK_CREDENTIALS
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate
from app.simulator.texts import Incoming, stop_after

PATH = "/webhooks/bandwidth"
_TRIES = 8
_TIMEOUT = 10.0
_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": "BandwidthAPI/v2",
    "authorization": f"Basic {base64.b64encode(CALLBACK_CREDENTIALS.encode()).decode()}",
}

Event = Mapping[str, object]


def told(acceptance: Acceptance, now: datetime) -> list[Webhook]:
    """List the callbacks that follow one recipient's message, one step after the other."""
    endings = _ENDINGS.get(acceptance.fate, (_DELIVERED,))
    events = [
        _event(acceptance, kind, now + step * STEP) for step, kind in enumerate((_SENDING, *endings), start=1)
    ]
    webhooks = [_webhook(event, step) for step, event in enumerate(events, start=1)]
    if acceptance.fate is Fate.UNSUBSCRIBE:
        webhooks.append(received(stop_after(acceptance), now, step=len(webhooks) + 1))
    return webhooks


def received(incoming: Incoming, now: datetime, *, step: int) -> Webhook:
    """Make the callback about a text that somebody wrote."""
    message = {
        "id": incoming.name,
        "owner": incoming.recipient,
        "applicationId": BANDWIDTH_APPLICATION_ID,
        "time": spelt(now),
        "segmentCount": 1,
        "direction": "in",
        "to": [incoming.recipient],
        "from": incoming.sender,
        "text": incoming.words,
    }
    event = {
        "type": "message-received",
        "time": spelt(now + step * STEP),
        "description": "Incoming message received",
        "to": incoming.recipient,
        "message": message,
    }
    return _webhook(event, step)


def final_state(fate: Fate) -> tuple[str, int]:
    """Say what the list says of a text in the end: its status, and the code of an error."""
    kind, _, code = _ENDINGS.get(fate, (_DELIVERED,))[-1]
    return ("FAILED", code or 0) if kind == "message-failed" else ("DELIVERED", 0)


def spelt(moment: datetime) -> str:
    """Write a time as Bandwidth does: UTC, microseconds, Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"


def _event(acceptance: Acceptance, kind: "Kind", at: datetime) -> Event:
    name, text, code = kind
    mail = acceptance.mail
    media = mail.details["media"].split("\n") if mail.details["media"] else []
    message = {
        "id": mail.external_id,
        "owner": mail.sender,
        "applicationId": BANDWIDTH_APPLICATION_ID,
        "time": spelt(at),
        "segmentCount": 1,
        "direction": "out",
        "to": list(mail.destination),
        "from": mail.sender,
        "text": "",
        "tag": acceptance.tag,
        **({"media": media} if media else {}),
    }
    event = {
        "type": name,
        "time": spelt(at),
        "description": text,
        "to": acceptance.address,
        "message": message,
    }
    return {**event, "errorCode": code} if code else event


def _webhook(event: Event, step: int) -> Webhook:
    return Webhook(
        path=PATH,
        step=step,
        compose=partial(_compose, event),
        tries=_TRIES,
        timeout=_TIMEOUT,
        given_up_at=_never,
    )


def _compose(event: Event, _now: datetime) -> Post:
    # An event has no id, so telling it again is the same request.
    return Post(headers=_HEADERS, body=orjson.dumps([event]))


def _never(_status: int) -> bool:
    return False


Kind = tuple[str, str, int | None]

_SENDING: Kind = ("message-sending", "Message is sending to carrier.", None)
_DELIVERED: Kind = ("message-delivered", "Message delivered to handset.", None)


def _failed(code: int, text: str) -> Sequence[Kind]:
    return (("message-failed", text, code),)


_ENDINGS: Mapping[Fate, Sequence[Kind]] = {
    Fate.SOFT_BOUNCE: _failed(4702, "destination subscriber unavailable"),
    Fate.BOUNCE: _failed(4720, "invalid destination address"),
    Fate.SUPPRESSED: _failed(4775, "destination has opted out"),
    Fate.REJECTED: _failed(4770, "rejected as spam"),
    Fate.HELD: _failed(4795, "toll-free number is not verified"),
}

# What each fate is told as, in Bandwidth's own words.
STORIES: Mapping[Fate, str] = {
    Fate.DELIVERED: "message-sending, message-delivered",
    Fate.UNSUBSCRIBE: "message-sending, message-delivered, message-received (STOP)",
    Fate.SOFT_BOUNCE: "message-sending, message-failed (4702)",
    Fate.BOUNCE: "message-sending, message-failed (4720)",
    Fate.LATE_BOUNCE: "message-sending, message-delivered (it tells one of delivered and failed, never both)",
    Fate.SUPPRESSED: "message-sending, message-failed (4775)",
    Fate.REJECTED: "message-sending, message-failed (4770)",
    Fate.HELD: "message-sending, message-failed (4795)",
    Fate.THROTTLED: "429 max-message-queue-size-exceeded",
    Fate.DOWN: "503, an HTML page",
}
