"""Every setting: read once from the environment and `.env`, validated, each fault named.

The name in the environment is the field's name in capitals; inside a group the parts are joined by
two underscores, as in `P0__MAX_AGE_SECONDS`. `tocsin settings` lists them all.
"""

import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.lanes import LANES, Lane
from app.domain.vocabulary import Channel, Priority
from app.errors import ConfigurationError

_CHECKOUT = Path(__file__).parents[1]
# Where `.env` and the data of `tocsin up` are, whatever directory a command is called from.
PROJECT = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path.cwd()


def _split_at_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_at_commas)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_at_commas)]


class LaneSettings(BaseModel):
    """What may be set for one priority; what is not set is as in `app/domain/lanes.py`."""

    name: str | None = Field(None, description="Name for people")
    max_age_seconds: int | None = Field(None, gt=0, description="A message not handed over by then expires")
    retry_attempts: int | None = Field(None, gt=0, le=100, description="Rounds through the chain of gateways")
    queue: str | None = Field(None, pattern=r"^[a-z0-9-]+$", description="Name of the Dramatiq queue")
    claim_size: int | None = Field(None, ge=1, le=5000, description="Messages claimed at once")
    min_threads: int | None = Field(None, ge=1, le=100, description="Sending threads that always run")
    max_threads: int | None = Field(None, ge=1, le=100, description="Sending threads at most")
    unknown: Literal["resend", "hold"] | None = Field(
        None, description="What to do with a message of which nobody knows whether it was sent"
    )


class Settings(BaseSettings):
    """The whole configuration of one process."""

    model_config = SettingsConfigDict(
        env_file=PROJECT / ".env", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    # Servers
    database_url: str | None = Field(
        None, description="PostgreSQL; without it `tocsin up` starts one of its own"
    )
    migration_database_url: str | None = Field(
        None, description="PostgreSQL as the owner of the tables, for migrations; else DATABASE_URL"
    )
    redis_url: str | None = Field(
        None, description="Valkey or Redis; without it `tocsin up` starts one of its own"
    )
    broker_url: str | None = Field(
        None, description="RabbitMQ as the broker, as in amqp://host:5672/; else REDIS_URL is it as well"
    )
    database_pooled: bool = Field(
        False, description="DATABASE_URL leads to PgBouncer or its like, which pools transactions"
    )
    database_pool: int = Field(20, ge=2, le=500, description="Connections of one web process at most")
    data_dir: Path | None = Field(None, description="Where `tocsin up` keeps its servers' data")
    host: str = Field("127.0.0.1", description="Address that the web process listens on")
    port: int = Field(8000, ge=1, le=65535, description="Port of the web process")
    webhook_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of a process for gateways' webhooks alone; without it the web process takes them",
    )
    web_threads: int = Field(8, ge=4, le=128, description="Requests handled at once by the web process")
    simulator_port: int = Field(8001, ge=1, le=65535, description="Port of the provider simulator")
    public_base_url: str | None = Field(
        None, description="Where the world reaches us, as in webhooks' signatures"
    )
    trusted_proxies: int = Field(
        0, ge=0, description="Proxies in front whose X-Forwarded headers are believed"
    )

    # Console
    secret_key: SecretStr | None = Field(
        None, min_length=32, description="Signs the console's cookies; without it, one in the database does"
    )
    session_idle_hours: float = Field(
        8, gt=0, le=720, description="An unused session of the console ends then"
    )
    session_hours: float = Field(24, gt=0, le=720, description="Any session of the console ends then")
    oidc_issuer: str | None = Field(
        None, description="Whom the console lets sign people in, as in https://login.example.com"
    )
    oidc_client_id: str | None = Field(None, description="What we are called there")
    oidc_client_secret: SecretStr | None = Field(None, description="Our secret there")
    oidc_role_claim: str = Field("groups", description="Claim that tells a person's role")
    oidc_roles: Names = Field((), description="Values of that claim and our roles, as team-ops=operator")
    oidc_default_role: Literal["viewer", "operator", "editor", "admin"] | None = Field(
        None, description="Role of who has none by the claim; else they stay outside"
    )

    # Gateways
    email_default_gateway: str = Field("postal", description="First choice for email")
    email_failover_gateway: str = Field("ses", description="Second choice for email")
    email_gateways: Names = Field(
        ("postal", "ses", "sendgrid", "smtp"), description="Order of email's gateways behind these two"
    )
    sms_enabled: bool = Field(True, description="Whether SMS is sent at all")
    sms_gateways: Names = Field(
        ("twilio", "bandwidth", "messagebird", "bird"), description="Order of SMS's gateways"
    )
    whatsapp_gateways: Names = Field(("twilio_whatsapp",), description="Order of WhatsApp's gateways")
    voice_gateways: Names = Field(("twilio_voice",), description="Order of voice's gateways")
    push_enabled: bool = Field(True, description="Whether push is sent at all")
    push_gateways: Names = Field(("apns", "fcm"), description="Order of push's gateways")
    simulated: bool = Field(False, description="Gateways are the simulator; set by `tocsin up` alone")
    gateway_timeout_seconds: float = Field(15, gt=0, le=60, description="One request to a gateway at most")
    gateway_concurrency: int = Field(
        64, ge=1, le=1000, description="Requests in flight of one sending thread at most"
    )
    gateway_connections: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Requests in flight of one lane on a machine",
    )

    postal_url: str | None = Field(None, description="Postal's address, as in https://postal.example.com")
    postal_api_key: SecretStr | None = Field(None, description="Credential of Postal's HTTP API")
    postal_webhook_public_key: str | None = Field(
        None, description="Postal's webhook key (base64 SPKI); fetched from its JWKS where not set"
    )
    postal_accept_sha1: bool = Field(False, description="Believe webhooks of Postal before 3.2 (SHA-1 only)")

    aws_region: str | None = Field(None, description="Region of Amazon SES")
    aws_access_key_id: SecretStr | None = Field(None, description="AWS credential; else botocore's own chain")
    aws_secret_access_key: SecretStr | None = Field(None, description="AWS credential")
    aws_session_token: SecretStr | None = Field(
        None, description="AWS credential, where it is a temporary one"
    )
    aws_endpoint_url_sesv2: str | None = Field(
        None, description="Another address for SES, as botocore names it"
    )
    ses_configuration_set: str | None = Field(None, description="SES publishes events only where one is used")
    ses_sns_topic_arns: Names = Field((), description="SNS topics whose notifications are believed")
    ses_sns_cert_origin: str | None = Field(
        None, description="Origin of SNS certificates other than Amazon's; for the simulator"
    )

    sendgrid_api_key: SecretStr | None = Field(None, description="SendGrid's API key")
    sendgrid_url: str = Field(
        "https://api.sendgrid.com", description="SendGrid's address; https://api.eu.sendgrid.com in the EU"
    )
    sendgrid_webhook_public_keys: Names = Field(
        (), description="Verification keys of SendGrid's event webhook; two while one is replaced"
    )
    sendgrid_ip_pools: Names = Field((), description="IP pools that the SendGrid account has, by our names")

    smtp_url: str | None = Field(
        None, description="A mail relay, as in smtp://host:587 or smtps://host:465; its path is our own name"
    )
    smtp_username: str | None = Field(None, description="User at the relay")
    smtp_password: SecretStr | None = Field(None, description="Password of that user")
    smtp_tls: Literal["required", "offered", "never"] = Field(
        "required", description="Encryption to the relay; a password goes to other machines only with it"
    )
    smtp_bounce_domain: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Domain whose mailbox `bounce` takes what cannot be delivered",
    )
    smtp_webhook_secrets: Secrets = Field(
        (), description="Secrets by which bounces are handed to us; two while one is replaced"
    )

    bandwidth_account_id: str | None = Field(None, description="Account at Bandwidth")
    bandwidth_application_id: str | None = Field(None, description="Bandwidth's messaging application")
    bandwidth_username: str | None = Field(None, description="API user at Bandwidth")
    bandwidth_password: SecretStr | None = Field(None, description="Password of the API user")
    bandwidth_url: str | None = Field(None, description="Another address for Bandwidth's Messaging API")
    bandwidth_webhook_credentials: Secrets = Field(
        (), description="username:password of Bandwidth's callbacks; two while one is replaced"
    )
    bandwidth_mms_receipts: bool = Field(False, description="The account has delivery receipts for MMS")

    messagebird_access_key: SecretStr | None = Field(None, description="MessageBird's API key")
    messagebird_url: str | None = Field(None, description="Another address for MessageBird's REST API")
    messagebird_signing_keys: Secrets = Field(
        (), description="Signing keys of MessageBird's webhooks; two while one is replaced"
    )
    messagebird_accept_deprecated_signature: bool = Field(
        False, description="Believe MessageBird's webhooks that carry no JWT but the older signature"
    )

    bird_access_key: SecretStr | None = Field(None, description="Bird's API key")
    bird_workspace_id: str | None = Field(None, description="Workspace at Bird")
    bird_channels: Names = Field((), description="Senders and Bird's ids of their SMS channels, as +31…=id")
    bird_url: str | None = Field(None, description="Another address for Bird's API")
    bird_signing_keys: Secrets = Field(
        (), description="Signing keys of Bird's webhooks; two while one is replaced"
    )

    twilio_account_sid: str | None = Field(None, description="Twilio's account, as in AC…")
    twilio_auth_token: SecretStr | None = Field(
        None, description="Twilio's auth token: sends where there is no API key, proves its callbacks"
    )
    twilio_api_key: str | None = Field(None, description="API key to send with, as in SK…")
    twilio_api_secret: SecretStr | None = Field(None, description="That key's secret")
    twilio_auth_tokens: Secrets = Field(
        (), description="More auth tokens that prove Twilio's callbacks, while one is replaced"
    )
    twilio_url: str = Field("https://api.twilio.com", description="Another address for Twilio's API")

    fcm_service_account: SecretStr | None = Field(
        None, description="Firebase's service account: the JSON of its key file, or the file's name"
    )
    fcm_url: str | None = Field(None, description="Another address for FCM")
    fcm_token_url: str | None = Field(None, description="Another address for Google's access tokens")
    fcm_topics_url: str | None = Field(None, description="Another address for subscribing to FCM's topics")
    apns_team_id: str | None = Field(None, description="Apple developer team")
    apns_key_id: str | None = Field(None, description="Name of the key for APNs")
    apns_key: SecretStr | None = Field(None, description="That key (.p8): its text, or the file's name")
    apns_topic: str | None = Field(None, description="Bundle id of the app that is notified")
    apns_url: str | None = Field(
        None, description="Another address for APNs; https://api.sandbox.push.apple.com in development"
    )
    firebase_webhook_secrets: Secrets = Field(
        (), description="Secrets by which our own apps' reports are signed; two while one is replaced"
    )

    # Priorities
    p0: LaneSettings = LaneSettings()
    p1: LaneSettings = LaneSettings()
    p2: LaneSettings = LaneSettings()
    p3: LaneSettings = LaneSettings()
    p4: LaneSettings = LaneSettings()
    gate_depth: int = Field(10_000, ge=1, description="P2 and P3 wait while this many P1 messages are due")

    worker_cores: int | None = Field(
        None, ge=1, le=1024, description="Cores that one lane's workers may spread over; else all there are"
    )

    # Rules
    rate_limiting_enabled: bool = Field(True, description="Apply the table rate_limits")
    rate_prefix: str = Field("comm:rate:", description="Prefix of the limits' keys in Redis")
    rate_reserve_percent: int = Field(20, ge=0, le=90, description="Share of each window kept for P0 and P4")
    isp_lookups_enabled: bool = Field(
        True, description="Ask the DNS who runs the mail of domains, so that limits of ISPs hold there too"
    )
    hard_bounce_permanent: bool = Field(True, description="A hard bounce suppresses for ever")
    soft_bounce_threshold: int = Field(3, ge=1, description="Final soft bounces in 30 days that suppress")
    complaint_permanent: bool = Field(True, description="A complaint suppresses for ever")
    reputation_bounce_percent: float = Field(
        5, gt=0, le=100, description="Campaigns of a domain or IP pool stop where so much of its mail bounced"
    )
    reputation_complaint_percent: float = Field(
        0.1, gt=0, le=100, description="The same for complaints; both slow campaigns down from 80 % of it on"
    )
    reputation_least_volume: int = Field(
        1000, ge=1, description="Messages in a day or week below which nothing is said about a reputation"
    )
    canary_addresses: Names = Field(
        (), description="Sinks of our own that test messages go to, by channel, as in email=sink@example.org"
    )
    canary_minutes: float = Field(15, ge=1, le=1440, description="How often one goes through each gateway")
    canary_type: Literal["transactional", "alert"] = Field("transactional", description="What it is sent as")
    held_hours: float = Field(6, gt=0, description="How long an unknown outcome may stay held")
    held_then: Literal["fail", "resend"] = Field("fail", description="What follows when it is over")
    retention_days: int = Field(30, ge=1, description="Finished messages are kept this long")
    event_retention_days: int = Field(
        90, ge=1, description="Months of the event log that ended longer ago are dropped"
    )
    reply_days: float = Field(
        7, gt=0, description="What people send us within this time of a message is taken as its answer"
    )
    help_text: str | None = Field(
        None, max_length=1000, description="What HELP is answered with by SMS and WhatsApp; else it is not"
    )
    device_stale_days: float = Field(
        7, gt=0, description="Devices not seen for this long get no push for their recipient"
    )
    phone_region: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="Country of numbers written without +"
    )
    template_second_person: bool = Field(
        False, description="Whether whoever saved a version of a template may not activate it"
    )
    max_sms_segments: int = Field(10, ge=1, le=255, description="Segments that one SMS may take")
    max_attachments_bytes: int = Field(
        10 * 1024 * 1024, ge=1, le=40 * 1024 * 1024, description="All attachments of an email together"
    )
    max_body_bytes: int = Field(16 * 1024 * 1024, ge=1024, description="Largest JSON body, bulk included")
    max_single_body_bytes: int = Field(
        1024 * 1024, ge=1024, description="Largest other body, but its attachments"
    )

    # Observing
    log_format: Literal["console", "json"] = Field("console", description="One readable line, or JSON")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity logged"
    )
    prometheus_multiproc_dir: Path | None = Field(None, description="Where processes share their metrics")
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Where traces go by OTLP over HTTP, as in http://localhost:4318; none without it"
    )
    trace_bulk_share: float = Field(
        0.01, ge=0, le=1, description="Share of P2 and P3 messages that are traced; the others are all"
    )

    @cached_property
    def gateway_order(self) -> dict[Channel, tuple[str, ...]]:
        """The gateways of each channel in the order to try them, configured or not."""
        first = (self.email_default_gateway, self.email_failover_gateway)
        return {
            Channel.EMAIL: tuple(dict.fromkeys((*first, *self.email_gateways))),
            Channel.SMS: self.sms_gateways,
            Channel.WHATSAPP: self.whatsapp_gateways,
            Channel.VOICE: self.voice_gateways,
            Channel.PUSH: self.push_gateways,
        }

    def is_enabled(self, channel: Channel) -> bool:
        """Tell whether the channel is in use, whatever gateways it has."""
        return {Channel.SMS: self.sms_enabled, Channel.PUSH: self.push_enabled}.get(channel, True)

    @cached_property
    def cores(self) -> int:
        """How many cores one lane's workers may use."""
        there_are = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.worker_cores or there_are or 1

    @cached_property
    def lanes(self) -> dict[Priority, Lane]:
        """The five lanes, with what the settings change about them."""
        return {priority: self._lane(priority) for priority in Priority}

    def _lane(self, priority: Priority) -> Lane:
        changes = getattr(self, priority.lower()).model_dump(exclude_none=True)
        if "max_age_seconds" in changes:
            changes["max_age"] = timedelta(seconds=changes.pop("max_age_seconds"))
        if "retry_attempts" in changes:
            changes["max_attempts"] = changes.pop("retry_attempts")
        return LANES[priority].changed(**changes)


def load(**overrides: object) -> Settings:
    """Read the settings; raises ConfigurationError that names every fault by its variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = [f"  {'__'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in exc.errors()]
        raise ConfigurationError("Settings that cannot be used:\n" + "\n".join(lines)) from exc
