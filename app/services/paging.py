"""Cursors of pages: opaque to callers, the last item's position to us."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from app.errors import Invalid
from app.services.views import Page

Row = TypeVar("Row")
Item = TypeVar("Item")


def cursor(*position: int | str | None) -> str:
    """Spell a position in letters that need no quoting in a URL."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


def position(text: str | None, *kinds: type) -> list[Any] | None:
    """Read a cursor back, whose parts must be of these kinds; None for none, raises Invalid."""
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        parts = json.loads(raw)
    except (ValueError, binascii.Error) as exc:
        raise _invalid() from exc
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise _invalid()
    return parts


def within(limit: int, most: int) -> int:
    """Check how many items a page is to have; raises Invalid."""
    if not 1 <= limit <= most:
        raise Invalid.of("limit", f"must be from 1 to {most}")
    return limit


def page(rows: Sequence[Row], limit: int, view: Callable[[Row], Item], *, key: str = "id") -> Page[Item]:
    """Make a page of rows that were asked for with one more than fits: that one tells that others follow.

    `key` names what the next page begins behind.
    """
    following = cursor(getattr(rows[limit - 1], key)) if len(rows) > limit else None
    return Page(items=tuple(map(view, rows[:limit])), next=following)


def _invalid() -> Invalid:
    return Invalid.of("cursor", "is not one of ours; take it as it came with the page before")
