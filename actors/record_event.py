"""Actor: give the webhooks that wait in the inbox their effect."""

from app.services.recording import inbox
from app.services.sending.tools import Tools


def record_event(tools: Tools) -> None:
    """Give the webhooks that wait in the inbox their effect."""
    inbox.process(tools)
