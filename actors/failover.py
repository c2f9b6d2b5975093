"""Actor: send messages through their next gateway at once."""

from app.domain.vocabulary import Priority
from app.services.sending import lane
from app.services.sending.tools import Tools


def failover(tools: Tools, priority: str, messages: list[int]) -> None:
    """Send messages through their next gateway at once."""
    lane.work_these(tools, Priority(priority), messages)
