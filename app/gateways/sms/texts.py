"""What a text message asks for, and what no gateway for texts may put on the wire."""

import re
from collections.abc import Iterator
from typing import Any

from app.domain.vocabulary import Priority
from app.gateways.answers import listed, part
from app.gateways.base import Envelope

URGENT = frozenset({Priority.P0, Priority.P1, Priority.P4})

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
_NAMED = re.compile(r"[^<>]*<([^<>]+)>")
# A number, a short code, or the name that some countries show in place of one.
_SENDER = re.compile(r"\+?[0-9]{3,15}|[A-Za-z0-9 ._&-]{1,11}")

# What only one vendor can do, and what would be another message or dearer without it.
_ELSEWHERE = {
    "content_sid": "a content template",
    "messaging_service": "a messaging service",
    "max_price": "a highest price",
}


def media_of(message: Envelope) -> tuple[str, ...]:
    """Give the addresses of the pictures and files that go with a text."""
    return tuple(listed(_asked(message), "media"))


def sender_of(message: Envelope) -> str:
    """Give the bare number, short code or name that a text comes from."""
    named = _NAMED.fullmatch(message.sender)
    return (named[1] if named else message.sender).strip()


def international(number: str) -> str:
    """Write a number that lost its + with it; short codes and names stay as they are."""
    return f"+{number}" if _DIGITS.fullmatch(number) else number


def unsendable(message: Envelope, *, media: bool) -> str | None:
    """Name the first thing for which this text cannot go out; `media` says that pictures can.

    `smart_encoding` is no such thing: the words are the same without it.
    """
    return next(_faults(message, media=media), None)


def _asked(message: Envelope) -> dict[str, Any]:
    return part(message.options, "sms")


def _faults(message: Envelope, *, media: bool) -> Iterator[str]:
    if not _NUMBER.fullmatch(message.address):
        yield "a recipient that is no E.164 number"
    if not _SENDER.fullmatch(sender_of(message)):
        yield "a sender that is no number, short code or name"
    if message.attachments:
        yield "an attachment"
    asked = _asked(message)
    yield from (named for option, named in _ELSEWHERE.items() if asked.get(option))
    if media_of(message) and not media:
        yield "media"
    if not message.text and not media_of(message):
        yield "a message without text"
