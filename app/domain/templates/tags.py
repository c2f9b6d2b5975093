"""Finding a template's tags in its source, without knowing what they mean."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_OF_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_INCLUDE = re.compile(r"\{%[-+]?\s*include\s+(?:'([^']*)'|\"([^\"]*)\")\s*[-+]?%\}")
_CONTENT = re.compile(r"\{\{[-+]?\s*content\s*[-+]?\}\}")
# What closes a tag must not be looked for inside of its texts.
_PIECE = re.compile(r"['\"]|\}\}|%\}")
_REST_OF_TEXT = {
    "'": re.compile(r"[^'\\]*(?:\\.[^'\\]*)*'", re.DOTALL),
    '"': re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL),
}
_CLOSING = {"{{": "}}", "{%": "%}"}


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag, a comment, or a raw stretch as a whole, with its place in the source."""

    start: int
    end: int
    text: str

    @property
    def is_expression(self) -> bool:
        """Tell whether the tag prints something, and does nothing else."""
        return self.text.startswith("{{")

    @property
    def is_content(self) -> bool:
        """Tell whether this is where a layout takes a template in."""
        return _CONTENT.fullmatch(self.text) is not None

    @property
    def included(self) -> str | None:
        """The partial that the tag takes in; None where it takes in none."""
        found = _INCLUDE.fullmatch(self.text)
        return found and (found[1] or found[2])


def tags(source: str) -> Iterator[Tag]:
    """Give all tags in order; what follows one that nothing closes is left out."""
    position = 0
    while found := _OPENING.search(source, position):
        end = _end(source, found.start(), found.group())
        if end is None:
            return
        yield Tag(found.start(), end, source[found.start() : end])
        position = end


def _end(source: str, start: int, opening: str) -> int | None:
    if opening == "{#":
        end = source.find("#}", start + 2)
        return None if end < 0 else end + 2
    raw = _RAW.match(source, start)
    if raw:
        closed = _END_OF_RAW.search(source, raw.end())
        return closed and closed.end()
    position = start + 2
    while piece := _PIECE.search(source, position):
        if piece.group() == _CLOSING[opening]:
            return piece.end()
        position = piece.end()
        if piece.group() in _REST_OF_TEXT:
            text = _REST_OF_TEXT[piece.group()].match(source, position)
            if text is None:
                return None
            position = text.end()
    return None
