"""What operators see and decide: emergencies, gateways, senders, prices, health and figures."""

from functools import cached_property, partial

from app.bootstrap.accepting import Accepting
from app.bootstrap.limiting import Limiting
from app.gateways.registry import known
from app.limits.forgetting import forget_counts
from app.services.clock import local_time
from app.services.controls.service import EmergencyService
from app.services.diagnostics.checking import Scene
from app.services.diagnostics.names import Dns
from app.services.diagnostics.service import DiagnosticsService
from app.services.gateways import GatewaysService
from app.services.gauges import Gauges
from app.services.prices import PriceService
from app.services.reputation import ReputationService
from app.services.senders import SenderService
from app.services.stats import StatsService
from app.settings import PROJECT


class Operating(Accepting, Limiting):
    @cached_property
    def emergency(self) -> EmergencyService:
        return EmergencyService(
            self.engine,
            self.catalog,
            self.stops,
            self.wake,
            gateways=self.gateway_control,
            forget_counts=partial(forget_counts, self.redis, self.settings.rate_prefix),
        )

    @cached_property
    def gateway_control(self) -> GatewaysService:
        return GatewaysService(
            self.engine, self.catalog, self.breakers, known=known(), trials=self.trials, now=local_time
        )

    @cached_property
    def senders(self) -> SenderService:
        return SenderService(self.engine, self.catalog, phone_region=self.settings.phone_region)

    @cached_property
    def reputation(self) -> ReputationService:
        return ReputationService(self.engine, self.catalog, local_time)

    @cached_property
    def prices(self) -> PriceService:
        return PriceService(self.engine, self.catalog)

    @cached_property
    def stats(self) -> StatsService:
        return StatsService(self.engine, self.catalog, self.settings.lanes)

    @cached_property
    def scene(self) -> Scene:
        return Scene(
            settings=self.settings,
            engine=self.engine,
            redis=self.redis,
            catalog=self.catalog,
            breakers=self.breakers,
            tokens=self.enforced_tokens,
            paces=self.enforced_paces,
            gateways=self.gateways,
            webhooks=frozenset(self.webhook_vendors),
            resolver=Dns(),
            transport=self.transports,
            now=local_time,
            directory=self.settings.data_dir or PROJECT,
        )

    @cached_property
    def diagnostics(self) -> DiagnosticsService:
        return DiagnosticsService(self.engine, self.scene)

    @cached_property
    def gauges(self) -> Gauges:
        return Gauges(self.scene)
