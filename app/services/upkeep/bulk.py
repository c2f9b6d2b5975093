"""Finding bulk requests that nobody expands."""

import time
from dataclasses import dataclass

import sqlalchemy as sa

from app.db.engine import unavailable_when_down
from app.db.tables import message_batches
from app.domain.vocabulary import Priority
from app.services.sending.tools import Tools

# A wake is given so long before it is taken for lost.
PATIENCE = 30.0  # seconds

_MOST = 1000


@dataclass(kw_only=True, slots=True)
class _Seen:
    line: int
    woken_at: float = float("-inf")


class Stalls:
    """Remembers how far each bulk request was, to see which stand still."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def wake(self, tools: Tools) -> int:
        """Wake the accepted requests that stand where they stood; gives how many. Raises Unavailable."""
        before, self._seen = self._seen, {}
        woken = 0
        for row in _open_batches(tools):
            seen = before.get(row.id)
            if seen is None or seen.line != row.expanded_line:
                seen = _Seen(line=row.expanded_line)
            elif time.monotonic() - seen.woken_at > PATIENCE:
                tools.wake.batch(Priority(row.priority), row.id)
                seen.woken_at = time.monotonic()
                woken += 1
            self._seen[row.id] = seen
        return woken


def _open_batches(tools: Tools) -> list[sa.Row[tuple[str, int, int]]]:
    table = message_batches.c
    query = (
        sa.select(table.priority, table.id, table.expanded_line)
        .where(table.state.in_(("accepted", "expanding")))
        .order_by(table.priority, table.id)
        .limit(_MOST)
    )
    with unavailable_when_down(), tools.once.connect() as conn:
        return list(conn.execute(query))
