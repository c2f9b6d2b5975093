"""Keeping the sums of what was spent."""

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.queue import PACKAGE
from app.services.sending.tools import Tools


def fold_spending(tools: Tools) -> int:
    """Add what was spent lately to the days' sums; gives how many lines that were. Raises Unavailable.

    Two at once do no harm, and whoever reads the sums adds what is not in them yet.
    """
    with unavailable_when_down(), tools.once.connect() as conn:
        return int(run(conn, PACKAGE, "fold_spending", {}).one().folded)
