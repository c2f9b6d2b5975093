"""Putting a template, its layout and its partials together into one source that needs nothing else."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.domain.templates.tags import tags
from app.errors import Fault, Invalid

DEEPEST = 5
MOST_PARTIALS = 200
LONGEST = 1024 * 1024  # characters

_LINE = re.compile(r"line (\d+): ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """One part of a layout or a partial, with the version it is of. `label` is "layout house", for people."""

    label: str
    source: str


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    label: str | None
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembled:
    """One source, and of which line of what each of its lines begins with."""

    text: str
    _places: tuple[tuple[str | None, int], ...]

    def place(self, line: int) -> tuple[str | None, int]:
        """Give the label of what a line comes from, None for the template itself, and its line there."""
        return self._places[min(max(line, 1), len(self._places)) - 1]

    def told(self, fault: Fault) -> Fault:
        """Let a fault name the line that its author can see."""
        found = _LINE.match(fault.message)
        if not found:
            return fault
        label, line = self.place(int(found[1]))
        where = f"line {line}" + (f" of {label}" if label else "")
        return Fault(fault.field, f"{where}: {fault.message[found.end() :]}")


Find = Callable[[str], Fragment | None]


def assemble(source: str, field: str, *, layout: Fragment | None, partial: Find) -> Assembled:
    """Put a part together; raises Invalid, by `field`, for partials that are missing or go in circles.

    A layout must say {{ content }} once. A partial that is None is missing.
    """
    maker = _Maker(field, partial)
    pieces = maker.within(layout, source) if layout else maker.pieces(source, None, ())
    return _joined(list(pieces))


class _Maker:
    def __init__(self, field: str, partial: Find) -> None:
        self._field = field
        self._partial = partial
        self._taken_in = 0
        self._length = 0

    def within(self, layout: Fragment, source: str) -> Iterator[_Piece]:
        slots = [tag for tag in tags(layout.source) if tag.is_content]
        if len(slots) != 1:
            raise Invalid.of(
                self._field,
                f"{layout.label} must say {{{{ content }}}} once here, and says it {len(slots)} times",
            )
        before, after = layout.source[: slots[0].start], layout.source[slots[0].end :]
        yield from self.pieces(before, layout.label, ())
        yield from self.pieces(source, None, ())
        yield from self.pieces(after, layout.label, (), line=1 + _lines(layout.source[: slots[0].end]))

    def pieces(
        self, source: str, label: str | None, through: tuple[str, ...], *, line: int = 1
    ) -> Iterator[_Piece]:
        """Give a source with its partials in their places; `through` are those that led here."""
        position = 0
        for tag in tags(source):
            slug = tag.included
            if slug is None:
                continue
            yield _Piece(source[position : tag.start], label, line + _lines(source[:position]))
            at = f"line {line + _lines(source[: tag.start])}" + (f" of {label}" if label else "")
            yield from self._included(slug, at, through)
            position = tag.end
        yield _Piece(source[position:], label, line + _lines(source[:position]))

    def _included(self, slug: str, at: str, through: tuple[str, ...]) -> Iterator[_Piece]:
        if slug in through:
            raise Invalid.of(self._field, f"{at}: the partial {slug!r} takes itself in")
        if len(through) == DEEPEST:
            raise Invalid.of(self._field, f"{at}: partials go deeper than {DEEPEST}")
        found = self._partial(slug)
        if found is None:
            raise Invalid.of(self._field, f"{at}: there is no active partial {slug!r} with such a part")
        self._require_room(found.source, at)
        yield from self.pieces(found.source, found.label, (*through, slug))

    def _require_room(self, source: str, at: str) -> None:
        """Keep partials that take in partials from growing without end."""
        self._taken_in += 1
        self._length += len(source)
        if self._taken_in > MOST_PARTIALS or self._length > LONGEST:
            raise Invalid.of(self._field, f"{at}: too much is taken in from partials")


def _joined(pieces: list[_Piece]) -> Assembled:
    places: list[tuple[str | None, int]] = []
    is_fresh = True
    for piece in pieces:
        lines = piece.text.split("\n")
        for number, line in enumerate(lines):
            starts, is_last = number > 0 or is_fresh, number == len(lines) - 1
            if starts and (line or not is_last):
                places.append((piece.label, piece.line + number))
            # A line of which nothing came yet begins with what comes next.
            is_fresh = is_last and starts and not line
    if is_fresh:
        places.append((pieces[-1].label, pieces[-1].line))
    return Assembled(text="".join(piece.text for piece in pieces), _places=tuple(places))


def _lines(text: str) -> int:
    return text.count("\n")
