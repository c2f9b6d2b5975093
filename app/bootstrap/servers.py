"""The servers that a process talks to: PostgreSQL, Redis, the broker, and whoever takes its traces."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib import import_module

import redis
import sqlalchemy as sa

from app.bootstrap.broker import make_broker, make_hasty_broker
from app.bootstrap.required import redis_url
from app.broker.base import CountingBroker
from app.db.redis import Hangs, blocking_client, quick_client, short_client
from app.errors import ConfigurationError
from app.services.clock import DatabaseClock
from app.services.sending.stops import Bell, StopWatch
from app.services.tracing import Traces
from app.services.way import Way
from app.settings import Settings
from app.wake import BrokerWake, Doorbell, GatheringWake, Wake


@dataclass(frozen=True, kw_only=True)
class Servers:
    settings: Settings
    engine: sa.Engine
    name: str
    accepts: bool = False
    impatient: bool = False

    @cached_property
    def hangs(self) -> Hangs:
        """What all of this process that waits for nobody remembers of a Redis that hung."""
        return Hangs()

    @cached_property
    def _hasty_redis(self) -> redis.Redis:
        return quick_client(redis_url(self.settings), hangs=self.hangs)

    @cached_property
    def redis(self) -> redis.Redis:
        return self._hasty_redis if self.impatient else short_client(redis_url(self.settings))

    @cached_property
    def broker(self) -> CountingBroker:
        return make_broker(self.settings)

    @cached_property
    def wake(self) -> Wake:
        kind = GatheringWake if self.accepts else BrokerWake
        hasty = self.impatient and self.settings.broker_url is None
        broker = make_hasty_broker(self.settings, self.hangs) if hasty else self.broker
        # Whoever accepts an emergency waits for the bell, and no longer than whoever sends one.
        return kind(broker, self.settings.lanes, Doorbell(self._hasty_redis))

    def doorbell(self, longest: timedelta) -> Doorbell:
        """Give the emergencies' doorbell to somebody who listens for up to `longest` at a time."""
        return Doorbell(blocking_client(redis_url(self.settings), longest))

    @cached_property
    def stops(self) -> StopWatch:
        hangs = self.hangs if self.impatient else None
        return StopWatch(self.engine, quick_client(redis_url(self.settings), hangs=hangs))

    def bell_of_stops(self) -> Bell:
        """Give what rings when stops change to the thread that listens for it."""
        return Bell(blocking_client(redis_url(self.settings), timedelta(seconds=1)))

    @cached_property
    def clock(self) -> DatabaseClock:
        """The time that decides what is due; the host's own until `look` or `keep` is called."""
        return DatabaseClock(self.engine)

    @cached_property
    def way(self) -> Way:
        """What keeps bulk work of this machine out of emergencies' way."""
        return Way(self.settings.prometheus_multiproc_dir)

    @cached_property
    def traces(self) -> Traces | None:
        """Where traces go; None, at no cost, where nobody wants any."""
        if self.settings.otel_exporter_otlp_endpoint is None:
            return None
        try:
            # By name, since the extra `otel` need not be installed.
            module = import_module("app.services.open_telemetry")
        except ImportError as exc:
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_ENDPOINT needs the extra `otel`: uv sync --extra otel."
            ) from exc
        traces: Traces = module.OpenTelemetry.configured(self.settings, self.name)
        return traces
