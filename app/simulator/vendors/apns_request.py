"""Headers and payload of a notification, read strictly enough to notice what Apple would not take."""

import re
from collections.abc import Iterator

import orjson

from app.simulator.accounts.apns import TOPIC
from app.simulator.exchange import Request

Fault = tuple[int, str]

# What each kind of push appends to the bundle id.
_SUFFIXES = {
    "alert": "",
    "background": "",
    "voip": ".voip",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "mdm": "",
    "location": ".location-query",
    "liveactivity": ".push-type.liveactivity",
    "pushtotalk": ".voip-ptt",
    "widgets": ".push-type.widgets",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_COLLAPSE_ID = 64
_MOST_BYTES = 4096
_MOST_BYTES_OF_VOIP = 5120


def fault_of(request: Request) -> Fault | None:
    """Say what is wrong with a request, in Apple's words; None where nothing is."""
    return next(_faults(request), None)


def _faults(request: Request) -> Iterator[Fault]:
    kind = request.headers.get("apns-push-type") or "alert"
    if kind not in _SUFFIXES:
        yield (400, "InvalidPushType")
        return
    yield from _faults_of_topic(request.headers.get("apns-topic"), kind)
    yield from _faults_of_headers(request, kind)
    yield from _faults_of_payload(request.body, kind)


def _faults_of_topic(topic: str | None, kind: str) -> Iterator[Fault]:
    if not topic:
        yield (400, "MissingTopic")
    elif not topic.startswith(TOPIC):
        yield (400, "TopicDisallowed")
    elif topic != TOPIC + _SUFFIXES[kind]:
        yield (400, "BadTopic")


def _faults_of_headers(request: Request, kind: str) -> Iterator[Fault]:
    priority = request.headers.get("apns-priority") or "10"
    if priority not in ("1", "5", "10") or (kind == "background" and priority != "5"):
        yield (400, "BadPriority")
    if not (request.headers.get("apns-expiration") or "0").isdecimal():
        yield (400, "BadExpirationDate")
    if len((request.headers.get("apns-collapse-id") or "").encode()) > _LONGEST_COLLAPSE_ID:
        yield (400, "BadCollapseId")
    name = request.headers.get("apns-id")
    if name is not None and not _UUID.fullmatch(name):
        yield (400, "BadMessageId")


def _faults_of_payload(body: bytes, kind: str) -> Iterator[Fault]:
    if len(body) > (_MOST_BYTES_OF_VOIP if kind == "voip" else _MOST_BYTES):
        yield (413, "PayloadTooLarge")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict) or not payload:
        yield (400, "PayloadEmpty")
