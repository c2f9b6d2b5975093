"""Actor: claim what is due in a lane, and send it."""

from app.domain.vocabulary import Priority
from app.services.sending import lane
from app.services.sending.tools import Tools


def claim_batch(tools: Tools, priority: str, sweep: int) -> None:
    """Claim what is due in a lane, and send it."""
    lane.work(tools, Priority(priority), sweep=bool(sweep))
