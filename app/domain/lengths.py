"""How much one message may say, by channel."""

from collections.abc import Mapping
from typing import Any

import orjson

from app.domain import sms
from app.domain.vocabulary import Channel

LONGEST_WHATSAPP = 4096  # characters
LONGEST_VOICE = 3000  # characters
LARGEST_PUSH = 4096  # bytes, at Apple and at Google

_LONGEST_SEGMENT = 160
# What a gateway writes round the words.
_PUSH_FRAME = 64
_PUSH_PARTS = ("title", "image", "data", "android", "apns", "webpush")


def excess(
    channel: Channel, subject: str | None, text: str | None, options: Mapping[str, Any], *, most_segments: int
) -> str | None:
    """Say in words what is too long about a message, or None; `options` are those of its own channel."""
    words = text or ""
    if channel is Channel.SMS:
        return _excess_of_sms(words, most_segments)
    if channel is Channel.PUSH:
        return _excess_of_push(subject, words, options)
    longest = {Channel.WHATSAPP: LONGEST_WHATSAPP, Channel.VOICE: LONGEST_VOICE}.get(channel)
    if longest is not None and len(words) > longest:
        return f"is longer than {longest} characters"
    return None


def _excess_of_sms(text: str, most: int) -> str | None:
    # A text far too long is not worth measuring.
    if len(text) > most * _LONGEST_SEGMENT:
        return f"takes more than {most} segments"
    found = sms.measure(text)
    if found.segments <= most:
        return None
    because = f"; {found.forced_by[0]!r} takes it out of the GSM alphabet" if found.forced_by else ""
    return f"takes {found.segments} segments where {most} are allowed{because}"


def _excess_of_push(subject: str | None, text: str, options: Mapping[str, Any]) -> str | None:
    parts = {name: options[name] for name in _PUSH_PARTS if options.get(name)}
    size = len(orjson.dumps({"title": subject, "body": text, **parts})) + _PUSH_FRAME
    if size > LARGEST_PUSH:
        return f"comes to about {size} bytes with all that goes along; {LARGEST_PUSH} are allowed"
    return None
