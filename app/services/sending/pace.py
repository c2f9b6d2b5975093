"""Letting go slowly after a stop: a thread that has sent for a while leaves what grows again alone."""

import threading
import time
from collections.abc import Iterable, Sequence

from app.domain.lanes import Lane
from app.domain.stops import FLOW_SCOPES, LaneStops, Stop, StopScope
from app.queue.rows import Claimed

# However long a claim took, what it was about is looked at again by then.
LONGEST_REST = 10.0  # seconds


class Pace(threading.local):
    """How long the calling thread still leaves alone what grows again, each to its share.

    A thread that may use a tenth of its time for something sends a tenth of what it usually does, on
    each host, whatever the usual rate is; nobody has to know it, and nothing has to be shared.
    """

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._growing: tuple[tuple[Stop, float], ...] = ()

    def rests(self, stops: LaneStops, *scopes: StopScope) -> list[str]:
        """Give the keys in these scopes that this thread may not claim for now."""
        self._growing = stops.growing
        now = time.monotonic()
        return [
            stop.key or ""
            for stop, _ in stops.growing
            if stop.scope in scopes and self._until.get(stop.id, 0.0) > now
        ]

    def smaller(self, lane: Lane, stops: LaneStops) -> Lane:
        """Give the lane with claims of its share, so that what grows again comes evenly."""
        whole = [share for stop, share in stops.growing if stop.scope in (StopScope.ALL, StopScope.PRIORITY)]
        return lane.changed(claim_size=max(1, round(lane.claim_size * min(whole)))) if whole else lane

    def worked(self, messages: Sequence[Claimed], seconds: float) -> None:
        """Note that this thread has sent these messages in so many seconds: it owes a rest for them."""
        now = time.monotonic()
        for stop, share in self._growing:
            if stop.scope in FLOW_SCOPES and (count := _concerned(stop, messages)):
                rest = seconds * count / len(messages) * (1 - share) / share
                self._until[stop.id] = now + min(rest, LONGEST_REST)

    def left(self, stops: LaneStops) -> float | None:
        """Say in how many seconds the first rest is over; None where there is none."""
        now = time.monotonic()
        ends = [self._until.get(stop.id, 0.0) - now for stop, _ in stops.growing]
        return min((seconds for seconds in ends if seconds > 0), default=None)


def _concerned(stop: Stop, messages: Iterable[Claimed]) -> int:
    if stop.scope is StopScope.CHANNEL:
        return sum(message.channel == stop.key for message in messages)
    if stop.scope is StopScope.CLIENT:
        return sum(str(message.client_id) == stop.key for message in messages)
    return sum(1 for _ in messages)
