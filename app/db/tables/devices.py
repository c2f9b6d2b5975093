"""Devices that take push messages, and the topics they follow."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.db.tables.base import TIME, metadata

device_tokens = Table(
    "device_tokens",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("token", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("device", Text),
    Column("app", Text),
    Column("recipient_type", Text),
    Column("recipient_id", BigInteger, nullable=False),
    Column("locale", Text),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("last_seen_at", TIME, nullable=False, server_default=text("now()")),
    Column("deactivated_at", TIME),
    Column("deactivated_why", Text),
    UniqueConstraint("token", name="device_tokens_token_key"),
    Index("device_tokens_recipient_idx", "recipient_id", "recipient_type"),
)

topics = Table(
    "topics",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("name", name="topics_name_key"),
)

topic_members = Table(
    "topic_members",
    metadata,
    Column("topic_id", BigInteger, ForeignKey("topics.id", ondelete="CASCADE"), primary_key=True),
    Column("device_id", BigInteger, ForeignKey("device_tokens.id", ondelete="CASCADE"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("changed_at", TIME, nullable=False, server_default=text("now()")),
    Index("topic_members_device_id_idx", "device_id"),
    Index(
        "topic_members_waiting_idx",
        "topic_id",
        "state",
        "device_id",
        postgresql_where=text("(state <> 'subscribed')"),
    ),
)
