"""Taking apart what vendors answer and tell us: nothing here trusts it to have any shape."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

_LONGEST_DETAIL = 300
_LONGEST_CODE = 64
_LONGEST_READ = 10_000
_NOT_SPACE_OR_BRACKET = re.compile(r"""[^\s<>()\[\]{},;:"'`|]+""")
_SECONDS = re.compile(r"[0-9]{1,7}", re.ASCII)
# Made once: spelt where they are asked for, they would be made each time.
_NUMBER = int | float
_NUMBER_OR_TEXT = int | str


def json_object(body: bytes | str) -> dict[str, Any]:
    """Read a JSON object; an empty one for all else, be it a proxy's HTML, garbage or another shape."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def part(value: object, *path: str) -> dict[str, Any]:
    """Go down to an object inside an object; an empty one where the way ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def words(value: Mapping[str, Any], name: str) -> str:
    """Give a member that is text; empty where it is missing or something else."""
    found = value.get(name)
    return found if isinstance(found, str) else ""


def listed(value: Mapping[str, Any], name: str) -> list[Any]:
    """Give a member that is a list; empty where it is missing or something else."""
    found = value.get(name)
    return found if isinstance(found, list) else []


def identifier(value: object) -> str | None:
    """Give a vendor's id, a number or text, as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, _NUMBER_OR_TEXT):
        return None
    return str(value) or None


def in_short(text: str, *, without: Iterable[str] = (), at_most: int = _LONGEST_DETAIL) -> str:
    """Make a vendor's words fit to keep: one line, no e-mail address, nothing of `without`, cut."""
    text = text[:_LONGEST_READ]
    if not text:
        return ""
    # Asked for each of thousands of events, so that what is seldom needed is looked for before it is done.
    for secret in without:
        if secret and _may_be_in(secret, text):
            text = re.sub(re.escape(secret), "<removed>", text, flags=re.IGNORECASE)
    # What has an @ goes before the cut, lest half an address stay.
    if "@" in text:
        text = _NOT_SPACE_OR_BRACKET.sub(lambda found: "<address>" if "@" in found[0] else found[0], text)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:at_most]


def _may_be_in(secret: str, text: str) -> bool:
    # Beyond ASCII there are letters that are alike for an expression and not in lower case.
    return not (secret.isascii() and text.isascii()) or secret.lower() in text.lower()


def code_in_short(code: str) -> str:
    """Make a vendor's code fit to keep."""
    return in_short(code, at_most=_LONGEST_CODE)


def wait_asked_for(headers: Mapping[str, str]) -> timedelta | None:
    """Read Retry-After where it is a number of seconds."""
    found = _SECONDS.fullmatch(headers.get("retry-after", "").strip())
    return timedelta(seconds=int(found[0])) if found else None


def moment(value: object) -> datetime | None:
    """Read a time, as seconds since 1970 or in ISO 8601 (in UTC where no zone is named)."""
    try:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, _NUMBER) and not isinstance(value, bool):
            return _since_1970(value)
    except (ValueError, OverflowError, OSError):
        pass
    return None


# Of a thousand events many happened in the same second.
@lru_cache(maxsize=128)
def _since_1970(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def key_of(*parts: object) -> str:
    """Make a short key that is the same for the same parts: 32 hexadecimal digits, no content in it."""
    return hashlib.sha256(orjson.dumps([str(each) for each in parts])).hexdigest()[:32]
