"""Answers that hold for a moment, shared by the threads of one process."""

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memory:
    """Keeps each answer for `seconds`. Two threads may ask at the same time: that costs one question."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[Hashable, tuple[float, Any]] = {}

    def ask(self, question: Hashable, answer: Callable[[], T]) -> T:
        """Give the answer that is kept, or find it out."""
        at, known = self._known.get(question, (float("-inf"), None))
        if time.monotonic() - at >= self._seconds:
            known = answer()
            self._known[question] = (time.monotonic(), known)
        return known  # type: ignore[no-any-return]  # put there by the same question
