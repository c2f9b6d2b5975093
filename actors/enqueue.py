"""Actor: expand an accepted bulk request into messages."""

from app.services.expansion import expand
from app.services.sending.tools import Tools


def enqueue(tools: Tools, batch: int) -> None:
    """Expand an accepted bulk request into messages."""
    expand(tools.engine, tools.catalog, tools.wake, tools.lanes, batch)
