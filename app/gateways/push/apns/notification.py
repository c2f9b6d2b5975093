"""A push message as Apple takes it: headers that say how, a payload that says what."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.gateways.base import Envelope
from app.gateways.push.credentials import seconds
from app.gateways.push.message import (
    collapse_key,
    data,
    fitting,
    is_apns_token,
    is_for_apns,
    is_silent,
    is_urgent,
    lifetime,
    merged,
    unsayable,
    weight,
    wishes,
    words,
)


class PushType(StrEnum):
    """What a notification is for, as Apple's devices have to know beforehand."""

    ALERT = "alert"
    BACKGROUND = "background"
    VOIP = "voip"
    COMPLICATION = "complication"
    FILEPROVIDER = "fileprovider"
    MDM = "mdm"
    LOCATION = "location"
    LIVEACTIVITY = "liveactivity"
    PUSHTOTALK = "pushtotalk"
    WIDGETS = "widgets"


# What follows the app's bundle id in the topic of all but plain notifications.
_TOPIC_SUFFIX: dict[PushType, str] = {
    PushType.VOIP: ".voip",
    PushType.COMPLICATION: ".complication",
    PushType.FILEPROVIDER: ".pushkit.fileprovider",
    PushType.LOCATION: ".location-query",
    PushType.LIVEACTIVITY: ".push-type.liveactivity",
    PushType.PUSHTOTALK: ".voip-ptt",
    PushType.WIDGETS: ".push-type.widgets",
}
_ALWAYS_AT_ONCE = frozenset({PushType.VOIP, PushType.PUSHTOTALK})
_AT_ONCE, _WHEN_CONVENIENT = "10", "5"

_MOST_BYTES = 4096
_MOST_BYTES_OF_A_CALL = 5120
_KEY = re.compile(r"[!-~]{1,64}")
# What may stand in a header, and which ones a caller may set.
_HEADERS: Mapping[str, re.Pattern[str]] = {
    "apns-collapse-id": re.compile(r"[ -~]{1,64}"),
    "apns-expiration": re.compile(r"[0-9]{1,12}"),
    "apns-priority": re.compile(r"1|5|10"),
    "apns-push-type": re.compile("|".join(PushType)),
    "apns-topic": re.compile(r"[!-~]{1,255}"),
}
_PASSED_THROUGH = frozenset({"headers", "payload"})


def headers(message: Envelope, topic: str, now: datetime) -> dict[str, str]:
    """Make the headers; `topic` is the app's bundle id.

    Those that the caller passes through come before ours, except that what is in the background is
    never urgent: Apple would refuse it.
    """
    kind = _push_type(message)
    made = {
        "apns-id": str(message.tag.uuid),
        "apns-push-type": kind.value,
        "apns-topic": topic + _TOPIC_SUFFIX.get(kind, ""),
        "apns-priority": _AT_ONCE if is_urgent(message) or kind in _ALWAYS_AT_ONCE else _WHEN_CONVENIENT,
        "apns-collapse-id": fitting(collapse_key(message), _KEY),
    }
    if (left := lifetime(message, now)) is not None:
        made["apns-expiration"] = str(seconds(now + left)) if left else "0"
    made |= _own_headers(message)
    if kind is PushType.BACKGROUND:
        made["apns-priority"] = _WHEN_CONVENIENT
    return made


def payload(message: Envelope) -> dict[str, Any]:
    """Make the payload; an image is for the app's extension to load."""
    own = wishes(message)
    aps: dict[str, Any] = {"alert": words(message)} if words(message) else {}
    aps |= {name: own[name] for name in ("badge", "sound") if own.get(name) is not None}
    if is_silent(message):
        aps["content-available"] = 1
    made: dict[str, Any] = {"aps": aps, **data(message)}
    if own.get("image") and words(message):
        aps["mutable-content"] = 1
        made["image"] = own["image"]
    return merged(made, _passed_through(message).get("payload") or {})


def excesses(message: Envelope) -> Iterator[str]:
    """Name what Apple would not take of this message."""
    if not is_for_apns(message) or not is_apns_token(message.address):
        yield "anything but a token that Apple issued"
    # Sent for real, a trial would reach people.
    if wishes(message).get("dry_run"):
        yield "a dry run"
    if "aps" in (wishes(message).get("data") or {}):
        yield "the data key aps"
    faults = [*unsayable(message), *_faults_of_passed(message)]
    yield from faults
    if not faults:
        yield from _excess(message)


def _excess(message: Envelope) -> Iterator[str]:
    most = _MOST_BYTES_OF_A_CALL if _push_type(message) is PushType.VOIP else _MOST_BYTES
    if weight(payload(message)) > most:
        yield f"more than {most} bytes"


def _push_type(message: Envelope) -> PushType:
    named = _own_headers(message).get("apns-push-type") or wishes(message).get("push_type")
    return PushType(named or (PushType.BACKGROUND if is_silent(message) else PushType.ALERT))


def _passed_through(message: Envelope) -> Mapping[str, Any]:
    return wishes(message).get("apns") or {}


def _own_headers(message: Envelope) -> dict[str, str]:
    given = _passed_through(message).get("headers") or {}
    return {name.lower(): str(value) for name, value in given.items()}


def _faults_of_passed(message: Envelope) -> Iterator[str]:
    if wishes(message).get("push_type") not in {None, *PushType}:
        yield "a push type that Apple does not know"
    for name in _passed_through(message).keys() - _PASSED_THROUGH:
        yield f"{name[:40]} in the options for Apple"
    for name, value in _own_headers(message).items():
        if name not in _HEADERS or not _HEADERS[name].fullmatch(value):
            yield f"the header {name[:40]}"
