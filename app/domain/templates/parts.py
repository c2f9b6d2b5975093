"""What a template may say for one channel beside its subject and bodies: a push's picture, a call's voice."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from app.domain.vocabulary import Channel
from app.errors import Fault

LARGEST = 16 * 1024  # bytes

_MOST_MEDIA = 10
_TAG = re.compile(r"\{[{%#]")
_HTTPS = re.compile(r"https://[^\s\x00-\x1f\x7f]+")
_CONTENT_SID = re.compile(r"HX[0-9A-Fa-f]{32}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_DIGIT = re.compile(r"[0-9]")
_MACHINE = re.compile("leave_message|hang_up|speak")
_SHORT = re.compile(r".{1,100}")

Check = Callable[[object], str | None]


def _written(shape: re.Pattern[str], words: str, *, fixed: bool = False) -> Check:
    """Want a text of a shape; with tags it is only known when it is filled in, unless it must be fixed."""

    def check(value: object) -> str | None:
        if not isinstance(value, str):
            return "must be a text"
        if _TAG.search(value):
            return "cannot have {{ … }}: the way out depends on it" if fixed else None
        return None if shape.fullmatch(value) else words

    return check


def _number(least: int, most: int) -> Check:
    def check(value: object) -> str | None:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return None if is_number and least <= value <= most else f"must be a number from {least} to {most}"  # type: ignore[operator]

    return check


def _truth(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _texts(value: object) -> str | None:
    good = isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return None if good else "must be an object of texts"


def _object(value: object) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _media(value: object) -> str | None:
    address = _written(_HTTPS, "")
    good = (
        isinstance(value, list)
        and 1 <= len(value) <= _MOST_MEDIA
        and not any(address(each) for each in value)
    )
    return None if good else "must be a list of 1 to 10 addresses that begin with https://"


_ADDRESS = _written(_HTTPS, "must be an address that begins with https://")
_WORDS = _written(_SHORT, "must have 1 to 100 characters")
_CONTENT = _written(_CONTENT_SID, "must be HX and 32 hexadecimal digits", fixed=True)

PARTS: dict[Channel, dict[str, Check]] = {
    Channel.EMAIL: {},
    Channel.SMS: {"media": _media},
    Channel.WHATSAPP: {"content_sid": _CONTENT, "content_variables": _texts, "media": _media},
    Channel.VOICE: {
        "voice": _WORDS,
        "language": _written(_LANGUAGE, "must be a language tag, as in de or pt-BR"),
        "repeat": _number(1, 5),
        "on_machine": _written(_MACHINE, "must be leave_message, hang_up or speak"),
        "confirm_digit": _written(_DIGIT, "must be one digit"),
        "record": _truth,
    },
    Channel.PUSH: {
        "title": _written(re.compile(r".{1,998}", re.DOTALL), "must have 1 to 998 characters"),
        "image": _ADDRESS,
        "data": _texts,
        "silent": _truth,
        "collapse_key": _written(re.compile(r".{1,64}"), "must have 1 to 64 characters"),
        "ttl_seconds": _number(0, 28 * 24 * 3600),
        "badge": _number(0, 99_999),
        "sound": _WORDS,
        "android": _object,
        "apns": _object,
        "webpush": _object,
    },
}


def part_faults(channel: Channel, parts: Mapping[str, Any]) -> Iterator[Fault]:
    """Tell what a template cannot say for its channel."""
    known = PARTS[channel]
    for name, value in parts.items():
        if name not in known:
            choice = ", ".join(known) or "none"
            yield Fault(f"parts.{name}", f"is none of the parts for {channel}, which are: {choice}")
        elif words := known[name](value):
            yield Fault(f"parts.{name}", words)
    if len(orjson.dumps(dict(parts))) > LARGEST:
        yield Fault("parts", f"come to more than {LARGEST} bytes")


def stands_for_words(channel: Channel, parts: Mapping[str, Any]) -> bool:
    """Tell whether a template may do without a text: a provider has the words, or only data is sent."""
    if channel is Channel.WHATSAPP:
        return bool(parts.get("content_sid") or parts.get("media"))
    if channel is Channel.SMS:
        return bool(parts.get("media"))
    return channel is Channel.PUSH and bool(parts.get("silent") and parts.get("data"))


def fixed(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parts that are the same for every message: what routing may go by."""
    return {name: value for name, value in parts.items() if not _TAG.search(orjson.dumps(value).decode())}
