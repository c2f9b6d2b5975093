"""The body of a request to FCM, read strictly enough to notice what FCM would not take."""

import re
from collections.abc import Iterator, Mapping

Fields = Mapping[str, object]

_TARGETS = ("token", "topic", "condition")
_KNOWN = frozenset({*_TARGETS, "notification", "data", "android", "webpush", "apns", "fcm_options", "name"})
_OF_ANDROID = frozenset(
    {
        "collapse_key",
        "priority",
        "ttl",
        "restricted_package_name",
        "data",
        "notification",
        "fcm_options",
        "direct_boot_ok",
    }
)
_TOPIC = re.compile(r"[a-zA-Z0-9\-_.~%]+")
_LABEL = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
_DURATION = re.compile(r"\d+(\.\d{1,9})?s")
_PRIORITIES = ("HIGH", "NORMAL", "high", "normal")
_RESERVED = re.compile(r"from|message_type|google.*|gcm.*", re.DOTALL)
_MOST_BYTES = 4096
_MOST_BYTES_OF_TOPIC = 2048


def target_of(message: Fields) -> tuple[str, str]:
    """Tell to whom a message goes: the kind of target, and the target."""
    kind = next(name for name in _TARGETS if name in message)
    return kind, str(message[kind])


def fault_of(message: object) -> str | None:
    """Name the first wrong field; None where there is none."""
    return next(_faults(message), None)


def _faults(message: object) -> Iterator[str]:
    if not isinstance(message, dict) or len([name for name in _TARGETS if message.get(name)]) != 1:
        yield "message"
        return
    yield from (f"message.{name}" for name in message if name not in _KNOWN)
    if not _TOPIC.fullmatch(str(message.get("topic", "t"))):
        yield "message.topic"
    yield from _faults_of_data(message.get("data", {}), "message.data")
    yield from _faults_of_android(_inside(message, "android"))
    if not _LABEL.fullmatch(str(_inside(message, "fcm_options").get("analytics_label", "none"))):
        yield "message.fcm_options.analytics_label"
    most = _MOST_BYTES if "token" in message else _MOST_BYTES_OF_TOPIC
    if _bytes_in(_inside(message, "data")) + _bytes_in(_inside(message, "notification")) > most:
        yield "message.data"
    for name in ("apns", "webpush"):
        if not all(isinstance(value, str) for value in _inside(_inside(message, name), "headers").values()):
            yield f"message.{name}.headers"


def _faults_of_data(data: object, name: str) -> Iterator[str]:
    if not isinstance(data, dict):
        yield name
        return
    for key, value in data.items():
        if not isinstance(value, str) or _RESERVED.fullmatch(key):
            yield f"{name}[{key}]"


def _faults_of_android(android: Fields) -> Iterator[str]:
    yield from (f"message.android.{name}" for name in android if name not in _OF_ANDROID)
    if android.get("priority", "HIGH") not in _PRIORITIES:
        yield "message.android.priority"
    if not _DURATION.fullmatch(str(android.get("ttl", "1s"))):
        yield "message.android.ttl"


def _inside(value: Fields, name: str) -> Fields:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _bytes_in(value: Fields) -> int:
    return sum(len(f"{key}{each}".encode()) for key, each in value.items())
