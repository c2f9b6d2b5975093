"""What is said in forms and addresses, read into values; each raises Invalid by the field's name."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from flask import request

from admin.actions import Wish
from admin.page import LONGEST_REASON
from app.errors import Invalid

_DIGITS = 18  # that always fit a bigint


def number(text: str, field: str, words: str = "must be a whole number") -> int | None:
    """Read a whole number; None for nothing."""
    if not text:
        return None
    if not _is_number(text):
        raise Invalid.of(field, words)
    return int(text)


def reason_given() -> str:
    """Read why somebody does something, which the audit log keeps."""
    why = request.form.get("why", "").strip()
    if not why or len(why) > LONGEST_REASON:
        raise Invalid.of("why", f"Say why, in {LONGEST_REASON} characters at most: the audit log keeps it.")
    return why


def numbers_selected(wish: Wish) -> list[int]:
    """Read what was selected as numbers."""
    if not all(map(_is_number, wish.selected)):
        raise Invalid.of("selected", "must be the rows' numbers")
    return [int(each) for each in wish.selected]


def one_of(said: Mapping[str, str], name: str, words: Collection[str]) -> str | None:
    """Read one of some words; None for nothing."""
    value = said.get(name)
    if value and value not in words:
        raise Invalid.of(name, f"must be one of {', '.join(sorted(words))}")
    return value or None


def end_of_day(text: str, field: str) -> datetime | None:
    """Read a day, and give its end in UTC; None for nothing."""
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + timedelta(days=1)
    except ValueError as exc:
        raise Invalid.of(field, "must be a day, as 2027-12-31") from exc


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
