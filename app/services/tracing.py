"""Traces: a message's way from the call that sent it to what its gateway told, if somebody wants to see it.

A message's trace has the message's own UUID for its id, so that nothing needs to be carried or stored,
and whoever has the UUID has the trace.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from app.domain.facts import Fact
from app.domain.outcomes import Outcome
from app.queue.rows import Claimed


class Traces(Protocol):
    """Whoever takes spans; none of these may raise or wait."""

    def accepted(
        self, uuid: UUID, attributes: Mapping[str, str], *, took: timedelta, caller: str | None
    ) -> None:
        """Begin a message's trace with the call that sent it; `caller` is its traceparent header."""

    def tried(
        self, message: Claimed, gateway: str, outcome: Outcome, *, ended_at: datetime, took: timedelta
    ) -> None:
        """Add a try at a gateway."""

    def told(
        self, uuid: UUID, gateway: str, fact: Fact, *, received_at: datetime, ended_at: datetime
    ) -> None:
        """Add what a gateway told, from when its webhook came until it had its effect."""

    def close(self) -> None:
        """Hand over what is not handed over yet."""
