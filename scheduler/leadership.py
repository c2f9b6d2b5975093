"""Which of several schedulers runs the jobs: the one that holds a short lease and renews it."""

import time
from datetime import timedelta

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.errors import Unavailable
from app.queue import jobs

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=5)
# A leader has three tries to renew in time; a standby looks a little more often, to be there soon.
LEADER_RENEWS = 0.3  # of the lease: every 1.5 s
STANDBY_LOOKS = 0.2  # every second


class Leadership:
    """One scheduler's lead, or its wait for it. `holder` is its name, like no other's.

    The lease is counted here from before it was asked for, so that it ends here before it ends in
    PostgreSQL, where another may take it: whoever cannot renew stops in time.
    """

    def __init__(self, engine: sa.Engine, holder: str, *, lease: timedelta = LEASE) -> None:
        self.holder = holder
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lease = lease
        self._until = float("-inf")
        self._failing = False

    @property
    def held(self) -> bool:
        """Tell whether jobs may begin now."""
        return time.monotonic() < self._until

    @property
    def pause(self) -> float:
        """Say after how many seconds to renew again."""
        return self._lease.total_seconds() * (LEADER_RENEWS if self.held else STANDBY_LOOKS)

    def renew(self) -> bool:
        """Renew the lead, or take it where nobody has it; tells whether it is newly taken."""
        held, asked_at = self.held, time.monotonic()
        try:
            with unavailable_when_down(), self._engine.connect() as conn:
                leads, vacant = jobs.lead(conn, self.holder, self._lease)
        except (Unavailable, sa.exc.DBAPIError) as exc:
            self._fail(exc)
            return False
        self._failing = False
        self._until = asked_at + self._lease.total_seconds() if leads else float("-inf")
        if leads and not held:
            since = None if vacant is None else round(vacant.total_seconds(), 1)
            log.info("scheduler leads", vacant_seconds=since)
        elif held and not leads:
            log.warning("scheduler lost the lead to another")
        return leads and not held

    def resign(self) -> None:
        """Give the lead up at once, where it can be told to anybody."""
        self._until = float("-inf")
        try:
            with unavailable_when_down(), self._engine.connect() as conn:
                jobs.resign(conn, self.holder)
        except (Unavailable, sa.exc.DBAPIError) as exc:
            log.warning("the lead ends with its lease", error=str(exc))

    def _fail(self, exc: Exception) -> None:
        if not self._failing:
            log.warning("the lead cannot be renewed; jobs stop with its lease", error=str(exc))
        self._failing = True
