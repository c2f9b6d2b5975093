"""What gateways tell: webhooks as they come, and the messages that people write back."""

from functools import cached_property

from app.bootstrap.gateways import Gateways
from app.services.clock import local_time
from app.services.inbound_messages import InboundService
from app.services.received_webhooks import ReceivedWebhooks
from app.services.webhooks import WebhookService
from app.services.withholding import Withholding, secret_values


class Hearing(Gateways):
    @cached_property
    def webhooks(self) -> WebhookService:
        return WebhookService(self.engine, self.webhook_vendors, self.wake, self.transports, local_time)

    @cached_property
    def received_webhooks(self) -> ReceivedWebhooks:
        return ReceivedWebhooks(
            self.engine,
            self.redis,
            frozenset(self.webhook_vendors),
            withholding=Withholding(secret_values(self.settings)),
            wake=self.wake,
            now=local_time,
        )

    @cached_property
    def inbound(self) -> InboundService:
        return InboundService(self.engine)
