"""What workers send with, and record with what comes of it."""

import os
import random
import socket
from datetime import timedelta
from functools import cached_property

from app.bootstrap.accepting import Accepting
from app.bootstrap.audience import Audience
from app.bootstrap.limiting import Limiting
from app.bootstrap.transports import ThreadTransports
from app.domain.suppression import SuppressionPolicy
from app.gateways.transport import Places
from app.limits.ledger import Ledger
from app.limits.minutes import MinuteCounts
from app.services.name_counts import NameCounts
from app.services.sending.content import Contents
from app.services.sending.tools import Tools
from app.settings import Settings

# Longer than a claim can live and an outage last together.
LEDGER_KEPT = timedelta(hours=24)


class Sending(Accepting, Limiting, Audience):
    @cached_property
    def tools(self) -> Tools:
        settings = self.settings
        places = Places(settings.gateway_concurrency)
        return Tools(
            engine=self.engine,
            lanes=settings.lanes,
            catalog=self.catalog,
            contents=Contents(self.engine, self.catalog, most_segments=settings.max_sms_segments),
            gateways=self.gateways,
            webhooks=self.webhook_vendors,
            breakers=self.breakers,
            tokens=self.enforced_tokens,
            paces=self.enforced_paces,
            ledger=Ledger(self.redis, ttl=LEDGER_KEPT),
            stops=self.stops,
            wake=self.wake,
            transport=ThreadTransports(concurrency=settings.gateway_concurrency, places=places),
            places=places,
            now=self.clock,
            chance=random.random,
            worker=f"{socket.gethostname()}:{os.getpid()}:{self.name}",
            policy=_suppression_policy(settings),
            gate_depth=settings.gate_depth,
            gateway_timeout=timedelta(seconds=settings.gateway_timeout_seconds),
            reply_within=timedelta(days=settings.reply_days),
            help_desk=self.help_desk,
            names=NameCounts(self.engine),
            canaries=self.canaries,
            minutes=MinuteCounts(self.redis),
            topic_sync=self.topic_sync,
            traces=self.traces,
            way=self.way,
        )


def _suppression_policy(settings: Settings) -> SuppressionPolicy:
    return SuppressionPolicy(
        hard_bounce_permanent=settings.hard_bounce_permanent,
        complaint_permanent=settings.complaint_permanent,
        soft_bounce_threshold=settings.soft_bounce_threshold,
    )
