"""A push message as FCM's HTTP v1 API takes it, and what does not fit into one."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from app.gateways.base import Envelope
from app.gateways.push.fcm.sections import sections
from app.gateways.push.message import data, is_for_apns, unsayable, weight, wishes, words

_TARGETS = ("topic", "condition")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_.~%-]{1,900}")
_MOST_TOPICS_OF_CONDITION = 5
_IN_TOPICS = re.compile(r"\bin\s+topics\b")
_RESERVED_KEYS = frozenset({"from", "message_type"})
_RESERVED_FAMILIES = ("google", "gcm")
_MOST_BYTES = 4096
_MOST_BYTES_FOR_TOPICS = 2048

# What of a section reaches the app, so that FCM counts it.
_WEIGHED = {"android": ("notification", "data"), "apns": ("payload",), "webpush": ("notification", "data")}
# No part that is weighed tells the time.
_AT_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def body(message: Envelope, now: datetime) -> dict[str, Any]:
    """Make the request's JSON; a dry run is checked by FCM and not sent."""
    kind, target = _target(message)
    return {
        "validate_only": is_dry_run(message),
        "message": {
            kind: target,
            **_for_all(message),
            **sections(message, now),
            "fcm_options": {"analytics_label": str(message.tag)},
        },
    }


def is_dry_run(message: Envelope) -> bool:
    """Tell whether FCM shall only say whether it would send the message."""
    return bool(wishes(message).get("dry_run"))


def is_for_a_token(message: Envelope) -> bool:
    """Tell whether the message is for one device, and not for whoever is subscribed."""
    return _target(message)[0] == "token"


def excesses(message: Envelope) -> Iterator[str]:
    """Name what FCM would not take of this message."""
    if is_for_apns(message):
        yield "a token that Apple issued"
    yield from _faults_of_target(message)
    faults = list(unsayable(message))
    yield from faults
    # What cannot be said at all can be neither looked through nor weighed.
    if not faults:
        yield from _reserved(message)
        yield from _excess(message)
    if not str(wishes(message).get("image") or "https://").startswith("https://"):
        yield "an image that is not at an https address"


def _target(message: Envelope) -> tuple[str, str]:
    kind, colon, rest = message.address.partition(":")
    return (kind, rest.strip()) if colon and kind in _TARGETS else ("token", message.address)


def _for_all(message: Envelope) -> dict[str, Any]:
    shown = words(message)
    if not shown:
        return {"data": data(message)}
    if image := wishes(message).get("image"):
        shown["image"] = image
    return {"notification": shown, "data": data(message)}


def _excess(message: Envelope) -> Iterator[str]:
    most = _MOST_BYTES if is_for_a_token(message) else _MOST_BYTES_FOR_TOPICS
    if _heaviest(message) > most:
        yield f"more than {most} bytes"


def _heaviest(message: Envelope) -> int:
    """Give the size of the largest payload that a device would get, keys and all."""
    return max(
        weight(_for_all(message) | {f"{name}_{part}": section[part] for part in parts if part in section})
        for (name, section), parts in zip(
            sections(message, _AT_ANY_TIME).items(), _WEIGHED.values(), strict=True
        )
    )


def _faults_of_target(message: Envelope) -> Iterator[str]:
    kind, target = _target(message)
    if kind == "topic" and not _TOPIC_NAME.fullmatch(target):
        yield "the name of the topic"
    if kind == "condition" and not 1 <= len(_IN_TOPICS.findall(target)) <= _MOST_TOPICS_OF_CONDITION:
        yield "a condition about no topic, or about more than five"


def _reserved(message: Envelope) -> Iterator[str]:
    for key in data(message):
        if key in _RESERVED_KEYS or key.startswith(_RESERVED_FAMILIES):
            yield f"the data key {key[:40]}"
