"""Actor: record facts whose message has come to be known."""

from app.services.recording import parked
from app.services.sending.tools import Tools


def record_parked(tools: Tools) -> None:
    """Record facts whose message has come to be known."""
    parked.process(tools)
