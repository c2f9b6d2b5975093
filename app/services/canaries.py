"""Canaries: messages to a sink of our own, one through each gateway now and then, and how they fare."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from app.db.engine import unavailable_when_down
from app.db.sql import run
from app.db.tables import channel_health
from app.domain.routing import Route
from app.domain.vocabulary import Channel, MessageType, Status
from app.errors import ConfigurationError, Refused
from app.queue import PACKAGE
from app.services import health, metrics
from app.services.trial_messages import CANARY, TrialMessages

log = structlog.get_logger(__name__)

# A canary that has not arrived by then is no longer waited for.
WATCHED = timedelta(hours=6)

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def addresses_of(named: Sequence[str]) -> dict[Channel, str]:
    """Read sinks by channel, as in email=sink@example.org; raises ConfigurationError."""
    found: dict[Channel, str] = {}
    for each in named:
        channel, _, address = each.partition("=")
        if channel not in set(Channel) or not address:
            raise ConfigurationError(
                f"CANARY_ADDRESSES has {each!r}; write channels and sinks, as in email=sink@example.org"
            )
        found[Channel(channel)] = address
    return found


class Canaries:
    """Sends canaries and looks after them. `every` is how often one goes through each gateway."""

    def __init__(
        self,
        engine: sa.Engine,
        trials: TrialMessages,
        addresses: Mapping[Channel, str],
        *,
        every: timedelta,
        message_type: MessageType,
    ) -> None:
        self._engine = engine
        self._trials = trials
        self._addresses = addresses
        self._every = every
        self._message_type = message_type

    def fly(self, routes: Sequence[Route], now: datetime) -> int:
        """Send the present slot's canaries, each once whoever asks how often; gives how many were sent.

        Those of gateways that are out of use stay at home. Raises Unavailable.
        """
        slot = (now - _EPOCH) // self._every
        sent = 0
        for route in routes:
            address = self._addresses.get(route.channel)
            if address and route.enabled and not route.drained:
                sent += self._send(route, address, slot, now)
        return sent

    def watch(self, now: datetime) -> int:
        """Write down how the latest canary of each gateway fares; gives how many there are."""
        since = (now - WATCHED - _EPOCH) // self._every
        with unavailable_when_down(), self._engine.begin() as conn:
            before = {(row.channel, row.gateway): row for row in conn.execute(sa.select(channel_health))}
            rows = run(conn, PACKAGE, "latest_canaries", {"source": CANARY, "since": since}).all()
            for row in sorted(rows, key=lambda row: (row.channel, row.gateway)):
                self._note(conn, row, before.get((row.channel, row.gateway)))
        return len(rows)

    def _send(self, route: Route, address: str, slot: int, now: datetime) -> bool:
        try:
            accepted = self._trials.send(
                route.channel,
                route.gateway,
                address,
                message_type=self._message_type,
                source=CANARY,
                source_id=slot,
                key=f"canary:{route.gateway}:{slot}",
            )
        except Refused as exc:
            log.warning("no canary", channel=route.channel.value, gateway=route.gateway, reason=str(exc))
            values = {"canary_at": now, "canary_status": f"refused: {exc}"[:500], "canary_seconds": None}
            with unavailable_when_down(), self._engine.begin() as conn:
                health.write(conn, route.channel, route.gateway, values)
            return False
        return not accepted.replayed

    @staticmethod
    def _note(conn: sa.Connection, row: sa.Row[Any], before: sa.Row[Any] | None) -> None:
        arrived = row.delivered_at or row.sent_at
        seconds = (arrived - row.created_at).total_seconds() if arrived else None
        values = {"canary_at": row.created_at, "canary_status": row.status, "canary_seconds": seconds}
        health.write(conn, Channel(row.channel), row.gateway, values)
        known = before and (before.canary_at, before.canary_status) == (row.created_at, row.status)
        if row.status == Status.DELIVERED and not known:
            metrics.observe_canary(row.gateway, row.delivered_at - row.created_at)
