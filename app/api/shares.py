"""How many requests of a kind may run at once in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from app.api.operations import Share
from app.errors import Busy
from app.settings import Settings


def limits(settings: Settings) -> dict[Share, int]:
    """Tell the size of each share. Their threads come on top of those that single messages have."""
    quarter = max(2, settings.web_threads // 4)
    return {
        Share.UPLOADS: quarter,
        Share.WEBHOOKS: settings.web_threads,
        Share.EXPORTS: quarter,
        Share.CONSOLE: settings.web_threads // 2,
    }


def threads(settings: Settings) -> int:
    """Tell how many threads a web process needs, so that full shares leave all others untouched."""
    return settings.web_threads + sum(limits(settings).values())


class Shares:
    """The shares of one process. Nobody waits for a place: who finds none is sent away for a moment."""

    def __init__(self, settings: Settings) -> None:
        self._free = {share: BoundedSemaphore(limit) for share, limit in limits(settings).items()}

    @contextmanager
    def held(self, share: Share | None) -> Iterator[None]:
        """Hold one place for the block; raises Busy where all are taken."""
        if share is None:
            yield
            return
        if not self._free[share].acquire(blocking=False):
            raise Busy(f"as many {share} as this process takes at once are running")
        try:
            yield
        finally:
            self._free[share].release()
