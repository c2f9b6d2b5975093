"""Keeping the rate limits' counters where people and SQL can read them, and where they outlive Redis."""

from app.services import limit_counts
from app.services.sending.tools import Tools


def save_counts(tools: Tools) -> int:
    """Write what each limit's windows hold into PostgreSQL; gives how many limits. Raises Unavailable."""
    return limit_counts.save(tools)
