"""What a push message asks for, as both of its gateways read it out of an envelope."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from app.domain.vocabulary import Priority
from app.gateways.base import Envelope

# Under this name our tag is in the data that an app receives, so that it can report what became of it.
TAG_NAME = "tocsin"

_APNS_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2}){32,256}")
_NOT_A_TOKEN = ("topic:", "condition:")
_AT_ONCE = frozenset({Priority.P0, Priority.P1, Priority.P4})
_CONTENTS = ("data", "android", "apns", "webpush")
_NOTHING: dict[str, Any] = {}


def wishes(message: Envelope) -> Mapping[str, Any]:
    """Give the caller's own options for push."""
    return message.options.get("push") or _NOTHING


def is_for_apns(message: Envelope) -> bool:
    """Tell whether the address is a token that Apple issued: by its platform, else by its shape."""
    if message.address.startswith(_NOT_A_TOKEN):
        return False
    platform = message.options.get("platform")
    if platform in {"apns", "fcm"}:
        return bool(platform == "apns")
    return bool(_APNS_TOKEN.fullmatch(message.address))


def is_apns_token(address: str) -> bool:
    """Tell whether an address can stand in the path of a request to Apple."""
    return bool(_APNS_TOKEN.fullmatch(address))


def is_silent(message: Envelope) -> bool:
    """Tell whether the message is for the app alone, and shows nothing."""
    return bool(wishes(message).get("silent"))


def is_urgent(message: Envelope) -> bool:
    """Tell whether it shall wake the device at once."""
    return message.tag.priority in _AT_ONCE


def words(message: Envelope) -> dict[str, str]:
    """Give the title and the body that are shown; nothing of a silent message."""
    if is_silent(message):
        return {}
    shown = {"title": wishes(message).get("title") or message.subject, "body": message.text}
    return {name: text for name, text in shown.items() if text}


def data(message: Envelope) -> dict[str, str]:
    """Give what the app receives beside the words: the caller's own, and our tag."""
    return {**(wishes(message).get("data") or _NOTHING), TAG_NAME: str(message.tag)}


def collapse_key(message: Envelope) -> str:
    """Give the key by which a later message takes an earlier one's place on the device.

    Unless the caller chose one it is the message's own, so that a message that arrives twice is seen
    once.
    """
    return wishes(message).get("collapse_key") or message.tag.uuid.hex


def fitting(key: str, shape: re.Pattern[str]) -> str:
    """Give the key itself where it has this shape, else 32 digits that are the same for the same key."""
    return key if shape.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()[:32]


def lifetime(message: Envelope, now: datetime) -> timedelta | None:
    """Tell how long the message may wait for a device that is off; None where nobody set a limit.

    It is the shorter of what the caller chose and what is left until the message expires.
    """
    limits = []
    if message.expires_at is not None:
        limits.append(message.expires_at - now)
    if (chosen := wishes(message).get("ttl_seconds")) is not None:
        limits.append(timedelta(seconds=chosen))
    return max(min(limits), timedelta(0)) if limits else None


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what the caller passes through over what we made; inside of objects too."""
    both = dict(ours)
    for name, value in theirs.items():
        mine = both.get(name)
        inside = isinstance(mine, Mapping) and isinstance(value, Mapping)
        both[name] = merged(mine, value) if isinstance(mine, Mapping) and inside else value
    return both


def weight(payload: Mapping[str, Any]) -> int:
    """Give the size of a payload in bytes, as JSON."""
    return len(orjson.dumps(payload))


def unsayable(message: Envelope) -> Iterator[str]:
    """Name what no gateway for push can carry."""
    if message.attachments:
        yield "an attachment"
    given = wishes(message).get("data") or _NOTHING
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given.values()):
        yield "data that is not text"
    elif TAG_NAME in given:
        yield f"the data key {TAG_NAME}"
    if (
        not is_silent(message)
        and not words(message)
        and not any(wishes(message).get(each) for each in _CONTENTS)
    ):
        yield "a message without a title, a text or data"
