"""Lets every actor message be delivered twice; Python loads this by itself from a folder on its path."""

from typing import Any

from dramatiq.brokers.redis import RedisBroker

_enqueue = RedisBroker.enqueue


def _twice(self: RedisBroker, message: Any, *, delay: int | None = None) -> Any:
    _enqueue(self, message, delay=delay)
    return _enqueue(self, message, delay=delay)


RedisBroker.enqueue = _twice  # type: ignore[method-assign]
