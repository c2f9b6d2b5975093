"""Keeping the rate limits' counters where people and SQL can read them, and where they outlive Redis."""

from app.services import limit_counts
from app.services.sending.tools import Tools


def save_counts(tools: Tools) -> int:
    """Write what each limit's windows hold into PostgreSQL; gives how many limits. Raises Unavailable."""
    return limit_counts.save(tools)


def restore_counts(tools: Tools) -> bool:
    """Count anew where Redis lost what was counted; tells whether it did. Raises Unavailable.

    Who sends does so at once. This is for when nothing is sent but emergencies, which do not wait for it.
    """
    if tools.tokens is None or tools.tokens.dump([]) is not None:
        return False
    return limit_counts.recount(tools)
