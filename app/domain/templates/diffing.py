"""What is different between two versions, part by part and line by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

# Comparing grows with the product of both lengths where lines repeat.
MOST_LINES = 4000

Op = Literal["same", "removed", "added"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line with its numbers, from 1; `old` is None where it was added, `new` where it was removed."""

    op: Op
    old: int | None
    new: int | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PartDiff:
    """How a part differs; one that is None has no lines.

    `is_coarse` tells that it was too long to compare line by line, so that all its old lines count as
    removed and all its new ones as added.
    """

    part: str
    is_changed: bool
    is_coarse: bool
    lines: tuple[Line, ...]


def compare(part: str, old: str | None, new: str | None) -> PartDiff:
    """Compare one part of two versions."""
    before, after = _lines(old), _lines(new)
    is_coarse = len(before) + len(after) > MOST_LINES and before != after
    lines = _coarse(before, after) if is_coarse else _fine(before, after)
    return PartDiff(part=part, is_changed=old != new, is_coarse=is_coarse, lines=tuple(lines))


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def _coarse(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    yield from _removed(before, 0, len(before))
    yield from _added(after, 0, len(after))


def _fine(before: Sequence[str], after: Sequence[str]) -> Iterator[Line]:
    for op, a, b, c, d in SequenceMatcher(None, before, after).get_opcodes():
        if op == "equal":
            for old, new in zip(range(a, b), range(c, d), strict=True):
                yield Line(op="same", old=old + 1, new=new + 1, text=after[new])
        else:
            yield from _removed(before, a, b)
            yield from _added(after, c, d)


def _removed(lines: Sequence[str], start: int, end: int) -> Iterator[Line]:
    return (Line(op="removed", old=at + 1, new=None, text=lines[at]) for at in range(start, end))


def _added(lines: Sequence[str], start: int, end: int) -> Iterator[Line]:
    return (Line(op="added", old=None, new=at + 1, text=lines[at]) for at in range(start, end))
