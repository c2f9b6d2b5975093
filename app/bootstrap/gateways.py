"""The gateways that the settings configure, in their order, and the requests to them that are no messages."""

from collections.abc import Mapping
from functools import cached_property

from app.bootstrap.servers import Servers
from app.bootstrap.transports import ThreadTransports
from app.domain.vocabulary import Channel
from app.gateways.base import Gateway, Webhook
from app.gateways.capabilities import capabilities_of
from app.gateways.registry import gateways, webhooks
from app.services.catalog import Catalog
from app.settings import Settings


class Gateways(Servers):
    @cached_property
    def gateways(self) -> dict[str, Gateway]:
        return gateways(self.settings)

    @cached_property
    def webhook_vendors(self) -> dict[str, Webhook]:
        return webhooks(self.settings)

    @cached_property
    def catalog(self) -> Catalog:
        capabilities = {name: capabilities_of(gateway) for name, gateway in self.gateways.items()}
        order = in_order(self.settings, self.gateways)
        return Catalog(self.engine, order, capabilities, tell=self.stops.ring)

    def channels_of_gateways(self) -> dict[str, Channel]:
        return {name: gateway.channel for name, gateway in self.gateways.items()}

    @cached_property
    def transports(self) -> ThreadTransports:
        """Transports for the few requests that are no messages."""
        return ThreadTransports(concurrency=2)


def in_order(settings: Settings, configured: Mapping[str, Gateway]) -> dict[Channel, tuple[str, ...]]:
    """Order the configured gateways of each channel: as the settings name them, then the others.

    A channel that is switched off has none.
    """
    order: dict[Channel, tuple[str, ...]] = {}
    for channel in Channel:
        chosen = settings.gateway_order[channel]
        names = [name for name, gateway in configured.items() if gateway.channel is channel]
        names.sort(key=lambda name: chosen.index(name) if name in chosen else len(chosen))
        if names and settings.is_enabled(channel):
            order[channel] = tuple(names)
    return order
