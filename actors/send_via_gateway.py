"""Actor: take a waiting claim over, and send it."""

from uuid import UUID

from app.domain.vocabulary import Priority
from app.services.sending import lane
from app.services.sending.tools import Tools


def send_via_gateway(tools: Tools, priority: str, claim: str) -> None:
    """Take a waiting claim over, and send it."""
    lane.work_claim(tools, Priority(priority), UUID(claim))
