"""Where each flow of a lane was read to, so that the next claim starts there."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Flow = tuple[str, int]  # channel, client
Position = tuple[datetime, int]  # scheduled_for, id


@dataclass(slots=True)
class Positions:
    """What one process remembers of one lane. Losing it costs time, never a message.

    Rows may come in behind a position: a commit that took long, a row put back. So a position is kept
    only while its flow gives its full share, and the dispatcher's sweeps leave it out.
    """

    _at: dict[Flow, Position] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self) -> dict[Flow, Position]:
        """Copy the positions for one claim."""
        with self._lock:
            return dict(self._at)

    def move(self, ended: Mapping[Flow, Position]) -> None:
        """Remember where the flows ended that gave a full share, and forget the others."""
        with self._lock:
            self._at = dict(ended)
