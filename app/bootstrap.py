"""Putting a process together: the only place where things are made out of settings."""

import os
import random
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from importlib import import_module

import redis
import sqlalchemy as sa
from dramatiq.middleware import Middleware, TimeLimit

from app.broker.base import CountingBroker, rabbit
from app.broker.redis import ListeningBroker
from app.db.engine import make_engine
from app.db.redis import blocking_client, broker_client, quick_client, short_client
from app.domain.suppression import SuppressionPolicy
from app.domain.vocabulary import Channel, MessageType
from app.errors import ConfigurationError
from app.gateways.base import Gateway, Webhook
from app.gateways.capabilities import capabilities_of
from app.gateways.push.fcm.topics import Topics
from app.gateways.registry import gateways, known, webhooks
from app.gateways.transport import Transport
from app.limits.breaker import Breakers
from app.limits.forgetting import forget_counts
from app.limits.ledger import Ledger
from app.limits.minutes import MinuteCounts
from app.limits.paces import Paces
from app.limits.tokens import Tokens
from app.services.audit_reading import AuditService
from app.services.batch_desk import BatchDesk
from app.services.canaries import Canaries, addresses_of
from app.services.catalog import Catalog
from app.services.clock import DatabaseClock
from app.services.console_key import console_key
from app.services.controls.service import EmergencyService
from app.services.dead_letters import DeadLetterService
from app.services.device_check import DeviceCheck
from app.services.device_desk import DeviceDesk
from app.services.devices import DeviceService
from app.services.diagnostics.checking import Scene
from app.services.diagnostics.names import Dns
from app.services.diagnostics.service import DiagnosticsService
from app.services.gateways import GatewaysService
from app.services.gauges import Gauges
from app.services.held_decisions import HeldDecisions
from app.services.help_desk import HelpDesk
from app.services.inbound_messages import InboundService
from app.services.kept_uploads import UploadShelf
from app.services.keys import Authenticator
from app.services.limit_watch import LimitWatch
from app.services.limits import LimitsService
from app.services.messages import MessageService
from app.services.name_counts import NameCounts
from app.services.openid import OpenId, openid_provider
from app.services.prices import PriceService
from app.services.received_webhooks import ReceivedWebhooks
from app.services.recipients import RecipientService
from app.services.reputation import ReputationService
from app.services.second_factor import SecondFactor
from app.services.senders import SenderService
from app.services.sending.content import Contents
from app.services.sending.stops import Bell, StopWatch
from app.services.sending.tools import Tools
from app.services.sequences import SequenceService
from app.services.sessions import Limits, Sessions
from app.services.signing_in import SignIn
from app.services.stats import StatsService
from app.services.suppressions import SuppressionService
from app.services.template_desk import TemplateDesk
from app.services.template_rebuilding import TemplateRebuilding
from app.services.template_trials import TemplateTrials
from app.services.templates import TemplateService
from app.services.topic_sync import TopicSync
from app.services.topics import TopicService
from app.services.tracing import Traces
from app.services.trial_messages import TrialMessages
from app.services.webhooks import WebhookService
from app.services.withholding import Withholding, secret_values
from app.settings import PROJECT, Settings
from app.wake import BrokerWake, Doorbell, GatheringWake, Wake

# Longer than a claim can live and an outage last together.
LEDGER_KEPT = timedelta(hours=24)

# No actor runs longer: a stint of claims, and the last claim with nothing but time-outs.
ACTOR_TIME_LIMIT = timedelta(minutes=10)
HEARTBEAT = timedelta(seconds=60)
MAINTENANCE_CHANCE = 100_000  # in a million enqueues and fetches


class ThreadTransports:
    """Gives each thread a transport of its own, made when it first asks."""

    def __init__(self, *, concurrency: int) -> None:
        self._concurrency = concurrency
        self._local = threading.local()

    def __call__(self) -> Transport:
        if not hasattr(self._local, "transport"):
            self._local.transport = Transport(concurrency=self._concurrency)
        transport: Transport = self._local.transport
        return transport


@dataclass(frozen=True, kw_only=True)
class App:
    """One process's services, made when first used. Make it after fork.

    One that `accepts` tells of many messages at a time that there is work. One that is `impatient` soon
    goes on without Redis where that hangs.
    """

    settings: Settings
    engine: sa.Engine
    name: str
    accepts: bool = False
    impatient: bool = False

    @cached_property
    def gateways(self) -> dict[str, Gateway]:
        return gateways(self.settings)

    @cached_property
    def webhook_vendors(self) -> dict[str, Webhook]:
        return webhooks(self.settings)

    @cached_property
    def catalog(self) -> Catalog:
        capabilities = {name: capabilities_of(gateway) for name, gateway in self.gateways.items()}
        return Catalog(self.engine, in_order(self.settings, self.gateways), capabilities)

    @cached_property
    def redis(self) -> redis.Redis:
        make = quick_client if self.impatient else short_client
        return make(_redis_url(self.settings))

    @cached_property
    def broker(self) -> CountingBroker:
        return make_broker(self.settings)

    @cached_property
    def wake(self) -> Wake:
        kind = GatheringWake if self.accepts else BrokerWake
        return kind(self.broker, self.settings.lanes, Doorbell(self.redis))

    def doorbell(self, longest: timedelta) -> Doorbell:
        """Give the emergencies' doorbell to somebody who listens for up to `longest` at a time."""
        return Doorbell(blocking_client(_redis_url(self.settings), longest))

    @cached_property
    def stops(self) -> StopWatch:
        return StopWatch(self.engine, quick_client(_redis_url(self.settings)))

    def bell_of_stops(self) -> Bell:
        """Give what rings when stops change to the thread that listens for it."""
        return Bell(blocking_client(_redis_url(self.settings), timedelta(seconds=1)))

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
    def breakers(self) -> Breakers:
        return Breakers(self.redis)

    @cached_property
    def tokens(self) -> Tokens:
        reserve = self.settings.rate_reserve_percent / 100
        watch = LimitWatch(self.engine)
        return Tokens(
            self.redis, prefix=self.settings.rate_prefix, reserve=reserve, restored=True, told=watch.note
        )

    @cached_property
    def paces(self) -> Paces:
        return Paces(self.redis, prefix=self.settings.rate_prefix)

    @cached_property
    def limits(self) -> LimitsService:
        counting = self.settings.rate_limiting_enabled
        return LimitsService(
            self.engine, self.catalog, self.tokens if counting else None, self.paces if counting else None
        )

    @cached_property
    def authenticator(self) -> Authenticator:
        return Authenticator(self.engine)

    @cached_property
    def audit(self) -> AuditService:
        return AuditService(self.engine)

    @cached_property
    def console_key(self) -> str:
        return console_key(self.engine, self.settings)

    @cached_property
    def sessions(self) -> Sessions:
        idle = timedelta(hours=self.settings.session_idle_hours)
        return Sessions(self.engine, Limits(idle=idle, whole=timedelta(hours=self.settings.session_hours)))

    @cached_property
    def second_factor(self) -> SecondFactor:
        return SecondFactor(self.engine, self.console_key)

    @cached_property
    def openid(self) -> OpenId | None:
        provider = openid_provider(self.settings)
        return None if provider is None else OpenId(provider)

    @cached_property
    def sign_in(self) -> SignIn:
        return SignIn(self.engine, self.second_factor)

    @cached_property
    def messages(self) -> MessageService:
        return MessageService(self.engine, self.catalog, self.wake, self.settings)

    @cached_property
    def batch_desk(self) -> BatchDesk:
        return BatchDesk(self.engine, self.catalog, self.settings, self.messages)

    @cached_property
    def upload_shelf(self) -> UploadShelf:
        return UploadShelf(self.redis)

    @cached_property
    def dead_letters(self) -> DeadLetterService:
        return DeadLetterService(self.engine, self.settings.lanes, self.wake, self.channels_of_gateways)

    @cached_property
    def recipients(self) -> RecipientService:
        return RecipientService(self.engine, phone_region=self.settings.phone_region)

    @cached_property
    def held_decisions(self) -> HeldDecisions:
        return HeldDecisions(self.engine, self.settings.lanes, self.wake)

    def channels_of_gateways(self) -> dict[str, Channel]:
        return {name: gateway.channel for name, gateway in self.gateways.items()}

    @cached_property
    def templates(self) -> TemplateService:
        return TemplateService(
            self.engine,
            self.catalog,
            second_person=self.settings.template_second_person,
            most_segments=self.settings.max_sms_segments,
        )

    @cached_property
    def template_desk(self) -> TemplateDesk:
        return TemplateDesk(self.engine, most_segments=self.settings.max_sms_segments)

    @cached_property
    def template_rebuilding(self) -> TemplateRebuilding:
        return TemplateRebuilding(self.engine, self.templates)

    @cached_property
    def template_trials(self) -> TemplateTrials:
        region = self.settings.phone_region
        return TemplateTrials(self.engine, self.template_desk, self.messages, region=region)

    @cached_property
    def suppressions(self) -> SuppressionService:
        return SuppressionService(self.engine, phone_region=self.settings.phone_region)

    @cached_property
    def senders(self) -> SenderService:
        return SenderService(self.engine, self.catalog, phone_region=self.settings.phone_region)

    @cached_property
    def sequences(self) -> SequenceService:
        return SequenceService(self.engine, self.catalog, self.wake, self.settings)

    @cached_property
    def prices(self) -> PriceService:
        return PriceService(self.engine, self.catalog)

    @cached_property
    def stats(self) -> StatsService:
        return StatsService(self.engine, self.catalog, self.settings.lanes)

    @cached_property
    def gateway_control(self) -> GatewaysService:
        return GatewaysService(
            self.engine, self.catalog, self.breakers, known=known(), trials=self.trials, now=_now
        )

    @cached_property
    def reputation(self) -> ReputationService:
        return ReputationService(self.engine, self.catalog, _now)

    @cached_property
    def canaries(self) -> Canaries | None:
        settings = self.settings
        if not settings.canary_addresses:
            return None
        return Canaries(
            self.engine,
            self.trials,
            addresses_of(settings.canary_addresses),
            every=timedelta(minutes=settings.canary_minutes),
            message_type=MessageType(settings.canary_type),
        )

    @cached_property
    def trials(self) -> TrialMessages:
        return TrialMessages(self.engine, self.messages)

    @cached_property
    def scene(self) -> Scene:
        return Scene(
            settings=self.settings,
            engine=self.engine,
            redis=self.redis,
            catalog=self.catalog,
            breakers=self.breakers,
            tokens=self.tokens if self.settings.rate_limiting_enabled else None,
            paces=self.paces if self.settings.rate_limiting_enabled else None,
            gateways=self.gateways,
            webhooks=frozenset(self.webhook_vendors),
            resolver=Dns(),
            transport=self.transports,
            now=_now,
            directory=self.settings.data_dir or PROJECT,
        )

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

    @cached_property
    def gauges(self) -> Gauges:
        return Gauges(self.scene)

    @cached_property
    def diagnostics(self) -> DiagnosticsService:
        return DiagnosticsService(self.engine, self.scene)

    @cached_property
    def inbound(self) -> InboundService:
        return InboundService(self.engine)

    @cached_property
    def devices(self) -> DeviceService:
        return DeviceService(self.engine, stale_after=timedelta(days=self.settings.device_stale_days))

    @cached_property
    def device_desk(self) -> DeviceDesk:
        return DeviceDesk(self.engine, stale_after=timedelta(days=self.settings.device_stale_days))

    @cached_property
    def device_check(self) -> DeviceCheck:
        return DeviceCheck(self.engine, self.gateways, self.transports, _now)

    @cached_property
    def topics(self) -> TopicService:
        stale_after = timedelta(days=self.settings.device_stale_days)
        return TopicService(self.engine, self.topic_sync, stale_after=stale_after)

    @cached_property
    def topic_sync(self) -> TopicSync:
        return TopicSync(self.engine, Topics.configured(self.settings), self.transports, _now)

    @cached_property
    def transports(self) -> ThreadTransports:
        """Transports for the few requests that are no messages."""
        return ThreadTransports(concurrency=2)

    @cached_property
    def help_desk(self) -> HelpDesk | None:
        text = self.settings.help_text
        return HelpDesk(self.engine, self.messages, text) if text else None

    @cached_property
    def webhooks(self) -> WebhookService:
        return WebhookService(self.engine, self.webhook_vendors, self.wake, self.transports, _now)

    @cached_property
    def received_webhooks(self) -> ReceivedWebhooks:
        return ReceivedWebhooks(
            self.engine,
            self.redis,
            frozenset(self.webhook_vendors),
            withholding=Withholding(secret_values(self.settings)),
            wake=self.wake,
            now=_now,
        )

    @cached_property
    def clock(self) -> DatabaseClock:
        """The time that decides what is due; the host's own until `look` or `keep` is called."""
        return DatabaseClock(self.engine)

    @cached_property
    def tools(self) -> Tools:
        settings = self.settings
        return Tools(
            engine=self.engine,
            lanes=settings.lanes,
            catalog=self.catalog,
            contents=Contents(self.engine, self.catalog, most_segments=settings.max_sms_segments),
            gateways=self.gateways,
            webhooks=self.webhook_vendors,
            breakers=self.breakers,
            tokens=self.tokens if settings.rate_limiting_enabled else None,
            paces=self.paces if settings.rate_limiting_enabled else None,
            ledger=Ledger(self.redis, ttl=LEDGER_KEPT),
            stops=self.stops,
            wake=self.wake,
            transport=ThreadTransports(concurrency=settings.gateway_concurrency),
            now=self.clock,
            chance=random.random,
            worker=f"{socket.gethostname()}:{os.getpid()}:{self.name}",
            policy=SuppressionPolicy(
                hard_bounce_permanent=settings.hard_bounce_permanent,
                complaint_permanent=settings.complaint_permanent,
                soft_bounce_threshold=settings.soft_bounce_threshold,
            ),
            gate_depth=settings.gate_depth,
            gateway_timeout=timedelta(seconds=settings.gateway_timeout_seconds),
            reply_within=timedelta(days=settings.reply_days),
            help_desk=self.help_desk,
            names=NameCounts(self.engine),
            canaries=self.canaries,
            minutes=MinuteCounts(self.redis),
            topic_sync=self.topic_sync,
            traces=self.traces,
        )


def build(
    settings: Settings,
    name: str,
    *,
    connections: int | None = None,
    accepts: bool = False,
    impatient: bool = False,
) -> App:
    """Put a process together; `name` shows in logs, claims and pg_stat_activity.

    Raises ConfigurationError where PostgreSQL or Redis is not named, or a gateway half configured.
    """
    if settings.database_url is None:
        raise ConfigurationError("DATABASE_URL is not set. `tocsin up` starts a database of its own.")
    _redis_url(settings)
    engine = make_engine(
        settings.database_url,
        pool=connections or settings.database_pool,
        name=name,
        pooled=settings.database_pooled,
    )
    return App(settings=settings, engine=engine, name=name, accepts=accepts, impatient=impatient)


def make_broker(settings: Settings) -> CountingBroker:
    """Make the broker: on Redis, or on RabbitMQ where BROKER_URL names one.

    It retries nothing, since PostgreSQL alone decides what is tried again. Raises ConfigurationError.
    """
    middleware: list[Middleware] = [TimeLimit(time_limit=ACTOR_TIME_LIMIT // timedelta(milliseconds=1))]
    if settings.broker_url is not None:
        return rabbit(settings.broker_url, middleware)
    return ListeningBroker(  # type: ignore[no-untyped-call]  # Dramatiq leaves this one out.
        client=broker_client(_redis_url(settings)),
        middleware=middleware,
        heartbeat_timeout=HEARTBEAT // timedelta(milliseconds=1),
        maintenance_chance=MAINTENANCE_CHANCE,
    )


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


def _redis_url(settings: Settings) -> str:
    if settings.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set. `tocsin up` starts a server of its own.")
    return settings.redis_url


def _now() -> datetime:
    return datetime.now(UTC)
