"""One content for many messages: the lines that all have are said once, the others by substitution.

SendGrid takes one content for all messages of a request. Messages rendered from one template mostly
differ in a few lines, and for those each message brings its own under a tag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from app.gateways.base import Envelope

# What SendGrid lets one message substitute, names and values together, in bytes.
MOST_SUBSTITUTED = 10_000
# No message that says this itself can share, since SendGrid would replace it.
MARK = "%tocsin_"
# What a character, and a tag with its quotes, can take in JSON at most, in bytes.
_LONGEST_CHARACTER = 6
_LONGEST_TAG = 32

Columns = Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """A content for several messages, and what each one substitutes in it; nothing where all are equal."""

    text: str | None
    html: str | None
    substitutions: Sequence[dict[str, str]] = field(default=())


def common(messages: Sequence[Envelope]) -> Common:
    """Make the content that these messages share; they must be alike by `joinable`."""
    text, texts = _shared("t", [message.text for message in messages])
    html, htmls = _shared("h", [message.html for message in messages])
    tags, columns = [*texts, *htmls], [*texts.values(), *htmls.values()]
    if not tags:
        return Common(text=text, html=html)
    rows = zip(*columns, strict=True)
    return Common(text=text, html=html, substitutions=[dict(zip(tags, row, strict=True)) for row in rows])


def joinable(messages: Sequence[Envelope]) -> int:
    """Tell how many messages from the front can share a content, at least the first.

    They have the same parts (text, HTML or both).
    """
    marked = next((n for n, message in enumerate(messages) if _is_marked(message)), len(messages))
    front = messages[: max(marked, 1)]
    fits = _fitting(front)
    if fits > 1 or len(front) == 1:
        return fits
    # Too much for all of them is often little for those that have as many lines as the first.
    shape = _shape(front[0])
    other = next((n for n, message in enumerate(front) if _shape(message) != shape), len(front))
    return _fitting(front[:other])


def _fitting(messages: Sequence[Envelope]) -> int:
    # Mostly there is no need to look at what they share.
    if len(messages) == 1 or all(map(_is_short, messages)):
        return len(messages)
    substitutions = common(messages).substitutions
    long = (n for n, each in enumerate(substitutions) if len(orjson.dumps(each)) > MOST_SUBSTITUTED)
    return max(next(long, len(messages)), 1)


def _is_short(message: Envelope) -> bool:
    """Tell whether a message could substitute all that it says."""
    said = (message.text or "", message.html or "")
    longest = sum(_LONGEST_CHARACTER * len(part) + _LONGEST_TAG * (part.count("\n") + 1) for part in said)
    return longest <= MOST_SUBSTITUTED


def _shared(kind: str, parts: Sequence[str | None]) -> tuple[str | None, dict[str, tuple[str, ...]]]:
    """Give a part as it is shared, and by tag what each message has in its place."""
    told = [part or "" for part in parts]
    if told.count(told[0]) == len(told):
        return parts[0], {}
    lines: list[str] = []
    columns: dict[str, tuple[str, ...]] = {}
    for line in _columns(told):
        if line.count(line[0]) == len(line):
            lines.append(line[0])
        else:
            tag = f"{MARK}{kind}{len(columns)}%"
            columns[tag] = line
            lines.append(tag)
    return "\n".join(lines), columns


def _columns(parts: Sequence[str]) -> Columns:
    """Put line beside line; where one has more of them than another, all are taken for one line."""
    split = [part.split("\n") for part in parts]
    if len({len(lines) for lines in split}) > 1:
        return [tuple(parts)]
    return list(zip(*split, strict=True))


def _shape(message: Envelope) -> tuple[int, int]:
    return (message.text or "").count("\n"), (message.html or "").count("\n")


def _is_marked(message: Envelope) -> bool:
    return MARK in (message.text or "") or MARK in (message.html or "") or MARK in (message.subject or "")
