"""What the apps on the simulated devices report to Tocsin, signed as it wants reports to be signed."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import orjson

from app.simulator.accounts.fcm import REPORT_SECRET
from app.simulator.exchange import STEP, Acceptance, Post, Webhook
from app.simulator.recipients import Fate

PATH = "/webhooks/firebase"

_TRIES = 5
_TIMEOUT = 10.0
_DELIVERED: Sequence[str] = ("delivered",)
_SEEN: Sequence[str] = ("delivered", "opened")
_EVENTS: Mapping[Fate, Sequence[str]] = {Fate.OPEN: _SEEN, Fate.CLICK: _SEEN}


def reports(acceptance: Acceptance, now: datetime) -> list[Webhook]:
    """List what an app reports about a notification: that it came, and perhaps that it was opened."""
    return [
        Webhook(
            path=PATH,
            step=step,
            compose=_composer(acceptance.tag, event, now + step * STEP),
            tries=_TRIES,
            timeout=_TIMEOUT,
            given_up_at=lambda status: status in {401, 403, 404},
        )
        for step, event in enumerate(_EVENTS.get(acceptance.fate, _DELIVERED), start=1)
    ]


def _composer(tag: str, event: str, at: datetime) -> Callable[[datetime], Post]:
    body = orjson.dumps([{"tag": tag, "event": event, "at": at.isoformat()}])

    def compose(now: datetime) -> Post:
        timestamp = str(int(now.timestamp()))
        signature = hmac.digest(REPORT_SECRET.encode(), f"{timestamp}.".encode() + body, "sha256").hex()
        headers = {
            "content-type": "application/json",
            "x-tocsin-timestamp": timestamp,
            "x-tocsin-signature": f"sha256={signature}",
        }
        return Post(headers=headers, body=body)

    return compose
