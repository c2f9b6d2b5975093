"""Finding claims whose worker was lost."""

from collections.abc import Sequence

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.domain.vocabulary import Priority
from app.queue import PACKAGE
from app.services.sending.tools import Tools


def wake_releases(tools: Tools, priorities: Sequence[Priority]) -> str:
    """Wake stuck-release in those of the lanes, in their order, that have a lapsed claim; tells which."""
    with unavailable_when_down(), tools.once.connect() as conn:
        rows = run(conn, PACKAGE, "lanes_with_lapsed", {"priorities": list(priorities)}).all()
    for row in rows:
        tools.wake.release(Priority(row.priority))
    return " ".join(row.priority for row in rows)
