"""Tokens that this process has taken and PostgreSQL knows nothing of yet."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from app.limits.windows import Ask

# What was settled so long ago was seen by whoever restores counts from PostgreSQL now.
_KEPT = timedelta(seconds=30)

Held = tuple[Ask, datetime]


class Holdings:
    """Who holds which tokens, by message, so that they can be counted again after Redis was lost.

    Shared by all threads of a process. Each message is in one thread's hands at a time.
    """

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._settled: deque[tuple[datetime, list[Held]]] = deque()
        self._lock = threading.Lock()

    def hold(self, messages: Iterable[int], ask: Ask, at: datetime) -> None:
        """Note that these messages have tokens, all of what the ask names, since then."""
        held = (ask, at)
        for message in messages:
            self._held[message] = held

    def release(self, message: int) -> Held | None:
        """Forget a message's tokens, which are to be given back; None where it has none."""
        return self._held.pop(message, None)

    def settled(self, messages: Iterable[int]) -> None:
        """Note that PostgreSQL knows of these messages' tries from now on."""
        found = [held for message in messages if (held := self._held.pop(message, None))]
        if not found:
            return
        now = datetime.now(UTC)
        with self._lock:
            self._settled.append((now, found))
            while self._settled[0][0] < now - _KEPT:
                self._settled.popleft()

    def unknown_since(self, snapshot: datetime) -> Sequence[Held]:
        """List tokens of which nobody knew who read PostgreSQL at that time."""
        with self._lock:
            lately = [held for at, some in self._settled if at >= snapshot for held in some]
        return lately + list(self._held.values())
