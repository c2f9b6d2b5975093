"""The database's time, told by this process: hosts' clocks differ, and jump."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.errors import Unavailable

log = structlog.get_logger(__name__)

EVERY = 10.0  # seconds
# Less than this may be the way to the database and back.
WORTH_TELLING = timedelta(seconds=1)


def local_time() -> datetime:
    """Give the time by this host's own clock."""
    return datetime.now(UTC)


class DatabaseClock:
    """Gives the time as PostgreSQL has it, for whoever must agree with others about when something is due.

    Between two looks at the database time passes by the monotonic clock, which does not jump. Until the
    first look, the host's own clock has to do. A database that is away is borne: time goes on.
    """

    def __init__(self, engine: sa.Engine, *, local: Callable[[], datetime] = local_time) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._local = local
        self._known: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        if self._known is None:
            return self._local()
        then, at = self._known
        return then + timedelta(seconds=time.monotonic() - at)

    def look(self) -> None:
        """Ask PostgreSQL for the time; raises Unavailable."""
        with unavailable_when_down(), self._engine.connect() as conn:
            # The connection is there, so that only the question itself takes time.
            began = time.monotonic()
            told: datetime = conn.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            ended = time.monotonic()
        first = self._known is None
        self._known = (told, (began + ended) / 2)
        ahead = self._local() - self()
        if first and abs(ahead) > WORTH_TELLING:
            seconds = round(ahead.total_seconds(), 1)
            log.warning("this host's clock differs from the database's", seconds=seconds)

    def keep(self, stopping: threading.Event) -> threading.Thread:
        """Look now, and again and again in a thread, until told to stop."""
        self._try_to_look()
        thread = threading.Thread(target=self._run, args=(stopping,), name="clock", daemon=True)
        thread.start()
        return thread

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(EVERY):
            self._try_to_look()

    def _try_to_look(self) -> None:
        try:
            self.look()
        except Unavailable as exc:
            log.debug("the database's time is not known", error=str(exc))
