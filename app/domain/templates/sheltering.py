"""Keeping a template's tags safe while a tool reads its HTML or MJML.

Such tools know nothing of tags: a loop between two rows of a table would be thrown out of the table, a
comparison would open an element. So each tag becomes something that they carry along, a comment between
elements and a word inside of one, and is put back afterwards.
"""

import re
from dataclasses import dataclass

from app.domain.templates.tags import Tag, tags

# Where these are open, everything up to their end is text, and a comment would be read as such.
_TEXT_ONLY = ("title", "style", "script", "textarea", "mj-title", "mj-preview", "mj-style")
_MARKUP = re.compile(r"<!--|-->|<(/?)([a-zA-Z][\w-]*)|[<>\"']")
# A word inside of a comment of the author's own must not look like a comment of ours.
_WORD = re.compile(r"<!--tcc(\d+)x-->|tcs(\d+)x(?:=\"\")?")
_THEIRS = re.compile(r"tc([cs])(\d+)x")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheltered:
    """A source without tags, and the tags it had. `inside` are statements inside of an element's tag."""

    text: str
    tags: tuple[Tag, ...]
    inside: tuple[Tag, ...]

    def restored(self, text: str) -> str:
        """Put the tags back into what a tool made of the text."""
        return _WORD.sub(lambda found: self.tags[int(found[1] or found[2])].text, text)

    def missing(self, text: str) -> list[Tag]:
        """List the tags that a tool lost."""
        kept = {int(found[1] or found[2]) for found in _WORD.finditer(text)}
        return [tag for number, tag in enumerate(self.tags) if number not in kept]

    def has_kept_order(self, text: str) -> bool:
        """Tell whether the statements that a tool kept are in their order, each once."""
        numbers = [int(found[1] or found[2]) for found in _WORD.finditer(text)]
        kept = [number for number in numbers if not self.tags[number].is_expression]
        return kept == sorted(set(kept))

    def has_kept_all(self, text: str) -> bool:
        """Tell whether a tool kept each tag, and each statement once and in its order."""
        numbers = [int(found[1] or found[2]) for found in _WORD.finditer(text)]
        statements = [number for number, tag in enumerate(self.tags) if not tag.is_expression]
        kept = [number for number in numbers if not self.tags[number].is_expression]
        return kept == statements and set(numbers) == set(range(len(self.tags)))


def shelter(source: str, *, comments: bool = True) -> Sheltered:
    """Put words in place of all tags, in comments where elements may stand, as many lines long as before.

    Without `comments` all become bare words, as a reader of plain text wants them.
    """
    # A source's own words that look like ours could not be told from them.
    source = _THEIRS.sub(r"tc\1\2-x", source)
    found = tuple(tags(source))
    state, pieces, inside, position = _State(), [], [], 0
    for number, tag in enumerate(found):
        between = source[position : tag.start]
        state.read(between)
        lines = "\n" * tag.text.count("\n")
        is_comment = comments and state.is_between
        pieces += [between, f"<!--tcc{number}x-->{lines}" if is_comment else f"tcs{number}x"]
        if state.is_in_tag and not tag.is_expression and not state.quote:
            inside.append(tag)
        position = tag.end
    pieces.append(source[position:])
    return Sheltered(text="".join(pieces), tags=found, inside=tuple(inside))


class _State:
    """Where in HTML one is: between elements, in an element's tag, in a comment, in mere text."""

    def __init__(self) -> None:
        self.is_in_tag = False
        self.is_in_comment = False
        self.quote = ""
        self._text_only = ""
        self._opened = ""

    @property
    def is_between(self) -> bool:
        return not (self.is_in_tag or self.is_in_comment or self._text_only)

    def read(self, text: str) -> None:
        """Go on by a piece of the source."""
        for found in _MARKUP.finditer(text):
            self._step(found[0], closing=bool(found[1]), name=(found[2] or "").lower())

    def _step(self, piece: str, *, closing: bool, name: str) -> None:
        if self.is_in_comment:
            self.is_in_comment = piece != "-->"
        elif self.is_in_tag:
            self._step_in_tag(piece)
        elif self._text_only:
            if closing and name == self._text_only:
                self._text_only, self.is_in_tag, self._opened = "", True, ""
        elif piece == "<!--":
            self.is_in_comment = True
        elif name:
            self.is_in_tag, self._opened = True, "" if closing else name

    def _step_in_tag(self, piece: str) -> None:
        if self.quote:
            self.quote = "" if piece == self.quote else self.quote
        elif piece in "\"'":
            self.quote = piece
        elif piece == ">":
            self.is_in_tag = False
            self._text_only = self._opened if self._opened in _TEXT_ONLY else ""
