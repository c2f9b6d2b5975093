"""What to say, whom not to contact, through whom, how fast."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from app.db.tables.base import TIME, metadata

message_templates = Table(
    "message_templates",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("channel", Text, nullable=False),
    Column("locale", Text),
    Column("active_version", Integer),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("updated_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint(
        "slug", "channel", "locale", name="message_templates_slug_key", postgresql_nulls_not_distinct=True
    ),
)

message_template_versions = Table(
    "message_template_versions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("template_id", BigInteger, ForeignKey("message_templates.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("layout", Text),
    Column("subject", Text),
    Column("body_html", Text),
    Column("body_text", Text),
    Column("parts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("variables", JSONB, nullable=False, server_default=text("'[]'")),
    Column("created_by", Text, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("template_id", "version", name="message_template_versions_version_key"),
)

suppression_list = Table(
    "suppression_list",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("community_id", BigInteger),
    Column("category", Text),
    Column("sender", Text),
    Column("message_id", BigInteger),
    Column("event_key", UUID),
    Column("note", Text),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("expires_at", TIME),
    UniqueConstraint(
        "channel",
        "address",
        "reason",
        "community_id",
        "category",
        "sender",
        name="suppression_list_scope_key",
        postgresql_nulls_not_distinct=True,
    ),
    Index("suppression_list_address_idx", "channel", "address"),
)

gateways = Table(
    "gateways",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("tier", Integer, nullable=False, server_default=text("1")),
    Column("weight", Integer, nullable=False, server_default=text("1")),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("pools", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("capabilities", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    Column("updated_at", TIME, nullable=False, server_default=text("now()")),
)

senders = Table(
    "senders",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("slug", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("domain", Text),
    Column("gateways", ARRAY(Text)),
    Column("ip_pool", Text),
    Column("default_for", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("channel", "slug", name="senders_slug_key"),
)

channel_health = Table(
    "channel_health",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("is_healthy", Boolean, nullable=False, server_default=text("true")),
    Column("success_rate_1h", Double),
    Column("success_rate_24h", Double),
    Column("avg_latency_ms", Double),
    Column("current_rate_per_sec", Double),
    Column("max_rate_per_sec", Double),
    Column("last_check_at", TIME),
    Column("last_failure_at", TIME),
    Column("failure_reason", Text),
    Column("breaker_state", Text, nullable=False, server_default=text("'closed'")),
    Column("breaker_until", TIME),
    Column("drained_by", Text),
    Column("drained_why", Text),
    Column("disabled_by", Text),
    Column("disabled_why", Text),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("limit_type", Text, nullable=False),
    Column("limit_key", Text, nullable=False),
    Column("max_per_second", Integer),
    Column("max_per_minute", Integer),
    Column("max_per_hour", Integer),
    Column("max_per_day", Integer),
    Column("current_hour_count", BigInteger, nullable=False, server_default=text("0")),
    Column("current_day_count", BigInteger, nullable=False, server_default=text("0")),
    Column("hour_reset_at", TIME),
    Column("day_reset_at", TIME),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("notes", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("limit_type", "limit_key", name="rate_limits_limit_key_key"),
)
