"""Waiting for conditions."""

import time
from collections.abc import Callable

PAUSE = 0.02  # seconds


def until(condition: Callable[[], object], what: str, *, within: float = 60.0, pause: float = PAUSE) -> None:
    """Return as soon as the condition holds; raises TimeoutError that names `what` when it takes too long."""
    ends_at = time.monotonic() + within
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(pause)
