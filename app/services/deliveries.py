"""How many messages arrive: counted by tens of minutes, from the log of events, each event once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import delivery_counted, delivery_counts
from app.queue import PACKAGE
from app.services.sending.tools import Tools

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
KEPT = timedelta(days=8)

# Nobody's transaction is open for longer: statements are given up after 60 s, idle ones too.
SETTLED = timedelta(seconds=75)
# A scheduler that was away for long catches up in steps.
AT_MOST = timedelta(minutes=10)
# Events of before the first count are looked at so far back.
FIRST = timedelta(hours=1)
STEPS = 20

_C = delivery_counts.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliveries:
    """What became of one gateway's messages in a while.

    `rate` is the share delivered of those that ended; None where none did, so that what was sent just
    now does not count as lost. Of a gateway that never tells of deliveries, what did not come back counts.
    """

    gateway: str
    sent: int
    delivered: int
    bounced: int
    failed: int

    @property
    def lost(self) -> int:
        """Tell how many did not arrive."""
        return self.bounced + self.failed

    @property
    def ended(self) -> int:
        """Tell of how many it is known what became of them."""
        return self._arrived + self.lost

    @property
    def rate(self) -> float | None:
        """Give the share that arrived, from 0 to 1."""
        return self._arrived / self.ended if self.ended else None

    @property
    def _arrived(self) -> int:
        return self.delivered or max(0, self.sent - self.lost)


def count_deliveries(tools: Tools) -> int:
    """Add the events recorded since the last time; gives how many rows of counts were touched.

    The newest are left for the next time: a transaction that began before may still commit.
    Raises Unavailable.
    """
    touched = 0
    for _ in range(STEPS):
        with unavailable_when_down(), tools.engine.begin() as conn:
            since, last = _position(conn)
            until = min(since + AT_MOST, last)
            if until <= since:
                break
            touched += len(run(conn, PACKAGE, "count_deliveries", {"since": since, "until": until}).all())
            conn.execute(sa.update(delivery_counted).values(until=until))
    return touched


def _position(conn: sa.Connection) -> tuple[datetime, datetime]:
    """Lock how far was counted; gives it, and how far may be counted now."""
    settled = sa.func.now() - SETTLED
    first = insert(delivery_counted).values(single=True, until=settled - FIRST)
    conn.execute(first.on_conflict_do_nothing())
    query = sa.select(delivery_counted.c.until, settled).with_for_update()
    since, last = conn.execute(query).one()
    return since, last


def forget_deliveries(tools: Tools) -> int:
    """Remove counts that no window reaches any more; raises Unavailable."""
    statement = sa.delete(delivery_counts).where(_C.slot < sa.func.now() - KEPT)
    with unavailable_when_down(), tools.once.connect() as conn:
        return conn.execute(statement).rowcount


def read_deliveries(conn: sa.Connection, window: timedelta) -> tuple[Deliveries, ...]:
    """Add up what each gateway's messages came to within a while, by gateway."""
    sums = [
        sa.func.sum(column).label(column.name) for column in (_C.sent, _C.delivered, _C.bounced, _C.failed)
    ]
    query = (
        sa.select(_C.gateway, *sums)
        .where(_C.slot > sa.func.now() - window, _C.gateway != "")
        .group_by(_C.gateway)
        .order_by(_C.gateway)
    )
    return tuple(
        Deliveries(
            gateway=row.gateway,
            sent=int(row.sent),
            delivered=int(row.delivered),
            bounced=int(row.bounced),
            failed=int(row.failed),
        )
        for row in conn.execute(query)
    )
