"""What each kind of device gets beside what all get: FCM's sections for Android, Apple and the web."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from app.gateways.base import Envelope
from app.gateways.push.credentials import seconds
from app.gateways.push.message import (
    collapse_key,
    fitting,
    is_silent,
    is_urgent,
    lifetime,
    merged,
    wishes,
    words,
)

_LONGEST_LIFE = timedelta(weeks=4)
# What two messages have in common of which one shall replace the other: by Android's limits, as Apple's
# header, as the Topic of RFC 8030.
_KEY_FOR_ANDROID = re.compile(r".{1,256}", re.DOTALL)
_KEY_FOR_APPLE = re.compile(r"[!-~]{1,64}")
_KEY_FOR_WEB = re.compile(r"[A-Za-z0-9_-]{1,32}")


def sections(message: Envelope, now: datetime) -> dict[str, dict[str, Any]]:
    """Make the three sections; what the caller passes through goes over what we would say."""
    left = lifetime(message, now)
    left = None if left is None else min(left, _LONGEST_LIFE)
    return {
        name: merged(make(message, left, now), wishes(message).get(name) or {})
        for name, make in _MAKERS.items()
    }


def _android(message: Envelope, left: timedelta | None, _now: datetime) -> dict[str, Any]:
    key = fitting(collapse_key(message), _KEY_FOR_ANDROID)
    section: dict[str, Any] = {"priority": "HIGH" if is_urgent(message) else "NORMAL"}
    # Of messages with a key, FCM keeps four for a device that is away; of data without one, a hundred. Words
    # always have a key, and with none of their own all of an app's share one.
    if words(message) or wishes(message).get("collapse_key"):
        section["collapse_key"] = key
    if left is not None:
        section["ttl"] = f"{left // timedelta(seconds=1)}s"
    if words(message):
        # The collapse key makes one of those that wait for the device, the tag one of those it shows.
        asked = {"sound": wishes(message).get("sound"), "notification_count": wishes(message).get("badge")}
        section["notification"] = {"tag": key, **_given(asked)}
    return section


def _apns(message: Envelope, left: timedelta | None, now: datetime) -> dict[str, Any]:
    kind = wishes(message).get("push_type") or ("background" if is_silent(message) else "alert")
    headers = {
        "apns-collapse-id": fitting(collapse_key(message), _KEY_FOR_APPLE),
        "apns-push-type": kind,
        # Apple refuses what is in the background and urgent.
        "apns-priority": "10" if is_urgent(message) and kind != "background" else "5",
    }
    if left is not None:
        headers["apns-expiration"] = str(seconds(now + left)) if left else "0"
    aps = _given({"badge": wishes(message).get("badge"), "sound": wishes(message).get("sound")})
    if is_silent(message):
        aps["content-available"] = 1
    return {"headers": headers, "payload": {"aps": aps}} if aps else {"headers": headers}


def _webpush(message: Envelope, left: timedelta | None, _now: datetime) -> dict[str, Any]:
    headers = {
        "Topic": fitting(collapse_key(message), _KEY_FOR_WEB),
        "Urgency": "high" if is_urgent(message) else "normal",
    }
    if left is not None:
        headers["TTL"] = str(left // timedelta(seconds=1))
    return {"headers": headers}


_MAKERS: dict[str, Callable[[Envelope, timedelta | None, datetime], dict[str, Any]]] = {
    "android": _android,
    "apns": _apns,
    "webpush": _webpush,
}


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if value is not None}
