"""Credentials that are files by nature, and what each message in flight was sent with."""

import threading
from datetime import datetime
from pathlib import Path

from app.domain.facts import Tag
from app.errors import ConfigurationError

# Whose answer never comes is forgotten when so many newer ones are in flight.
_MOST_IN_FLIGHT = 8192


def contents(setting: str, variable: str) -> str:
    r"""Give what a setting holds, or what the file that it names holds.

    Line breaks may be spelled `\n`, since many tools that hand over an environment know no others.
    Raises ConfigurationError where it is neither.
    """
    text = setting.strip()
    if text.startswith(("{", "-----BEGIN")):
        return text if text.startswith("{") else text.replace("\\n", "\n")
    try:
        return Path(text).expanduser().read_text("utf-8")
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"{variable} is neither a key nor a file that can be read.") from exc


class InFlight:
    """Remembers by which credential a message went out, until its answer is read.

    A refused credential is renewed once, though a hundred answers may refuse it: only those to
    requests with the new one say anything new. Threads may share it.
    """

    def __init__(self) -> None:
        self._numbers: dict[Tag, int] = {}
        self._lock = threading.Lock()

    def went_out(self, tag: Tag, number: int) -> None:
        """Take note of a message's credential."""
        with self._lock:
            self._numbers[tag] = number
            if len(self._numbers) > _MOST_IN_FLIGHT:
                del self._numbers[next(iter(self._numbers))]

    def came_back(self, tag: Tag) -> int | None:
        """Give the credential of a message whose answer is here, and forget it."""
        with self._lock:
            return self._numbers.pop(tag, None)


def seconds(moment: datetime) -> int:
    """Give a time as tokens spell it: in whole seconds since 1970."""
    return int(moment.timestamp())
