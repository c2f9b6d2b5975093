"""Letting canaries fly where a sink is set."""

from app.services.sending.tools import Tools


def fly_canaries(tools: Tools) -> int:
    """See how the last canaries fare and send what is due; gives how many. Raises Unavailable."""
    if tools.canaries is None:
        return 0
    tools.canaries.watch(tools.now())
    return tools.canaries.fly(tools.catalog.routes(), tools.now())
