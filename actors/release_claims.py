"""Actor: release messages whose worker was lost."""

from app.domain.vocabulary import Priority
from app.services.sending import release
from app.services.sending.tools import Tools


def release_claims(tools: Tools, priority: str) -> None:
    """Release messages whose worker was lost."""
    release.release(tools, Priority(priority))
