"""How a text travels as SMS: in which encoding, and in how many segments.

The alphabet and the segments' sizes are those of 3GPP TS 23.038 and TS 23.040: a segment of several gives
seven septets or three code units to the header that puts them together again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Each of these is sent as an escape and another septet.
_EXTENSION = frozenset("\f^{}\\[~]|€")
_LAST_OF_ONE_UNIT = "\uffff"


class Encoding(StrEnum):
    GSM_7 = "gsm7"
    UCS_2 = "ucs2"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sizes:
    """How many units fit into a text's only segment, and into each of several."""

    alone: int
    joined: int


_SIZES = {
    Encoding.GSM_7: _Sizes(alone=160, joined=153),
    Encoding.UCS_2: _Sizes(alone=70, joined=67),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """What a text comes to. `units` are septets in GSM-7, 16-bit code units in UCS-2.

    `forced_by` are the characters that GSM-7 lacks, each once, in the order of the text.
    """

    encoding: Encoding
    units: int
    segments: int
    forced_by: tuple[str, ...] = ()


def measure(text: str) -> Measure:
    """Tell encoding and number of segments of a text; an empty text takes one segment."""
    forced_by = _foreign(text)
    encoding = Encoding.UCS_2 if forced_by else Encoding.GSM_7
    return Measure(
        encoding=encoding,
        units=sum(_widths(text, encoding)),
        segments=sum(1 for _ in _cut(text, encoding)),
        forced_by=forced_by,
    )


def split(text: str) -> tuple[str, ...]:
    """Cut a text into what its segments hold; no character is ever cut in two."""
    encoding = Encoding.UCS_2 if _foreign(text) else Encoding.GSM_7
    return tuple(_cut(text, encoding))


def _foreign(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(char for char in text if char not in _BASIC and char not in _EXTENSION))


def _widths(text: str, encoding: Encoding) -> Iterator[int]:
    if encoding is Encoding.GSM_7:
        return (2 if char in _EXTENSION else 1 for char in text)
    return (2 if char > _LAST_OF_ONE_UNIT else 1 for char in text)


def _cut(text: str, encoding: Encoding) -> Iterator[str]:
    sizes = _SIZES[encoding]
    if sum(_widths(text, encoding)) <= sizes.alone:
        yield text
        return
    start = used = 0
    for position, width in enumerate(_widths(text, encoding)):
        if used + width > sizes.joined:
            yield text[start:position]
            start, used = position, 0
        used += width
    yield text[start:]
