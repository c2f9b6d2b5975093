"""What a simulated gateway remembers of the last messages, to answer who asks for them later."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from app.simulator.exchange import Acceptance

MOST = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """A message that was taken, what it said, and when."""

    acceptance: Acceptance
    words: str
    at: datetime


class Recall:
    """The last messages that were taken, the newest first."""

    def __init__(self, most: int = MOST) -> None:
        self._kept: deque[Memory] = deque(maxlen=most)

    def add(self, acceptance: Acceptance, words: str, at: datetime) -> None:
        """Remember a message, and forget one that is long past."""
        self._kept.appendleft(Memory(acceptance=acceptance, words=words, at=at))

    def all(self) -> Iterator[Memory]:
        """Give what is remembered."""
        return iter(self._kept)


def asked(query: str) -> Mapping[str, str]:
    """Read what somebody asks by a query; the last word of each name counts."""
    return dict(parse_qsl(query))
