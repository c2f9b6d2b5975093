"""What is found about a template, where, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. An error keeps a version from being activated, a warning does not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One finding. `code` is stable; `place` is a part, as in body_html; `line` counts from 1.

    `fragment` names the layout or partial that the line is of; None stands for the template itself.
    """

    level: Level
    code: str
    place: str
    message: str
    advice: str
    line: int | None = None
    fragment: str | None = None


def error(code: str, place: str, message: str, advice: str) -> Finding:
    """Make a finding that keeps a version from being activated."""
    return Finding(
        level=Level.ERROR,
        code=code,
        place=place,
        message=message,
        advice=advice,
    )


def warning(code: str, place: str, message: str, advice: str) -> Finding:
    """Make a finding that somebody should look at."""
    return Finding(
        level=Level.WARNING,
        code=code,
        place=place,
        message=message,
        advice=advice,
    )


def info(code: str, place: str, message: str, advice: str = "") -> Finding:
    """Make a finding that is good to know."""
    return Finding(level=Level.INFO, code=code, place=place, message=message, advice=advice)
