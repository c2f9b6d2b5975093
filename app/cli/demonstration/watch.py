"""Looking at a running show: lanes, statuses, gateways, again and again."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.cli.demonstration.api import Unexpected
from app.cli.demonstration.play import CODES, Show
from app.domain.vocabulary import Channel, Priority, Status
from app.errors import Unavailable

_MOVING = ("waiting", Status.PROCESSING)
# What is due this soon is not called waiting for its retry.
_SOON = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """How the show stands: counts by audience, lanes and gateways as the API tells them."""

    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lanes: tuple[Mapping[str, Any], ...] = ()
    gateways: tuple[Mapping[str, Any], ...] = ()
    faults: Mapping[str, Any] = field(default_factory=dict)
    answers: bool = True

    @property
    def breakers(self) -> dict[str, str]:
        """How each gateway's breaker stands."""
        return {gateway["gateway"]: gateway["breaker"] for gateway in self.gateways}


def look(show: Show, last: Snapshot) -> Snapshot:
    """Look at everything; while the system does not answer, the last look is all there is."""
    api, simulator = show.system.api, show.system.simulator
    try:
        return Snapshot(
            counts=_counts(show),
            lanes=tuple(api.get("/v1/messages/stats/queue")["items"]),
            gateways=tuple(api.get("/v1/messages/stats/channels")["items"]),
            faults=simulator.get("/_simulator/faults")["faults"],
        )
    except (Unavailable, Unexpected):
        return Snapshot(
            counts=last.counts, lanes=last.lanes, gateways=last.gateways, faults=last.faults, answers=False
        )


def is_moving(show: Show, snapshot: Snapshot) -> bool:
    """Tell whether anything is still to be sent now; what is pending for a later retry is not."""
    if not snapshot.answers or any(
        counts.get(name) for counts in snapshot.counts.values() for name in _MOVING
    ):
        return True
    try:
        return _due(show)
    except (Unavailable, Unexpected):
        return True


def is_told(show: Show, snapshot: Snapshot) -> bool:
    """Tell whether the gateways have told all that they know, and Tocsin has taken it in."""
    told = (counts for name, counts in snapshot.counts.items() if Channel.PUSH not in name)
    if any(counts.get(Status.SENT) for counts in told):
        return False
    try:
        webhooks = show.system.simulator.get("/_simulator/webhooks")
        return bool(webhooks) and not webhooks["pending"]
    except (Unavailable, Unexpected):
        return False


def _counts(show: Show) -> dict[str, Mapping[str, int]]:
    batches = dict(show.played.batches)
    counts: dict[str, Mapping[str, int]] = {
        name: show.system.api.get(f"/v1/batches/{batch}") for name, batch in batches.items()
    }
    codes = show.system.api.pages(
        "/v1/messages", **show.scenario.source, priority=Priority.P4, channel=Channel.EMAIL
    )
    counts[CODES] = Counter(message["status"] for message in codes)
    return counts


def _due(show: Show) -> bool:
    soon = datetime.now(UTC) + _SOON
    pending = show.system.api.pages("/v1/messages", **show.scenario.source, status=Status.PENDING)
    # What was tried before is tried again until it works, which may be never.
    return any(
        datetime.fromisoformat(message["scheduled_for"]) <= soon and message["last_error"] is None
        for message in pending
    )
