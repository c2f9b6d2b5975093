"""How deep the lanes are and how the channels do, by counting no further than is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from app.domain.lanes import Lane
from app.domain.vocabulary import BreakerState, Channel, Priority
from app.services.catalog import Catalog

COUNTED = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneDepth:
    """One lane. `due`, `scheduled` and `processing` stop at COUNTED, `at_least` tells which did.

    `oldest_age` is how long the oldest due message has waited; None where nothing is due.
    """

    priority: Priority
    name: str
    due: int
    scheduled: int
    processing: int
    at_least: frozenset[str]
    oldest_age: timedelta | None
    max_age: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayRate:
    """One gateway of one channel in the last `window`.

    `per_second` counts accepted messages. `counted_all` is false where there was more to count.
    """

    channel: Channel
    gateway: str
    enabled: bool
    breaker: BreakerState
    window: timedelta
    sent: int
    delivered: int
    bounced: int
    failed: int
    per_second: float
    success_rate: float | None
    counted_all: bool
    last_sent_at: datetime | None


class StatsService:
    """Figures for callers and operators."""

    def __init__(self, engine: sa.Engine, catalog: Catalog, lanes: Mapping[Priority, Lane]) -> None:
        self._engine = engine
        self._catalog = catalog
        self._lanes = lanes

    def queue(self) -> tuple[LaneDepth, ...]:
        """Tell depth and oldest age of each lane, P0 first."""
        raise NotImplementedError

    def channels(self, breakers: Mapping[tuple[Channel, str], BreakerState]) -> tuple[GatewayRate, ...]:
        """Tell what each gateway did in the last five minutes. `breakers` is what Redis says now."""
        raise NotImplementedError
