"""What happened to messages, and what gateways told us."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from app.db.tables.base import TIME, metadata

delivery_events = Table(
    "delivery_events",
    metadata,
    Column(
        "id", BigInteger, nullable=False, server_default=text("nextval('delivery_events_id_seq'::regclass)")
    ),
    Column("message_id", BigInteger, nullable=False),
    Column("priority", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("attempt", Integer),
    Column("gateway", Text),
    Column("outcome", Text),
    Column("code", Text),
    Column("detail", Text),
    Column("external_id", Text),
    Column("source", Text, nullable=False),
    Column("external_event_id", Text),
    Column("inbox_id", BigInteger),
    Column("data", JSONB),
    Column("occurred_at", TIME, nullable=False, server_default=text("now()")),
    Column("recorded_at", TIME, nullable=False, server_default=text("now()")),
    Index("delivery_events_message_id_idx", "message_id"),
    Index("delivery_events_recorded_at_idx", "recorded_at", postgresql_using="brin"),
)

event_keys = Table(
    "event_keys",
    metadata,
    Column("key", UUID, primary_key=True),
    Column("recorded_at", TIME, nullable=False, server_default=text("now()")),
    Index("event_keys_recorded_at_idx", "recorded_at", postgresql_using="brin"),
)

webhook_inbox = Table(
    "webhook_inbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("received_at", TIME, nullable=False, server_default=text("now()")),
    Column("request_id", Text),
    Column("url", Text, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("processed_at", TIME),
    Column("result", Text),
    Column("erased_at", TIME),
    Index("webhook_inbox_received_at_idx", "received_at", postgresql_using="brin"),
    Index("webhook_inbox_gateway_idx", "gateway", "id"),
    Index(
        "webhook_inbox_failed_idx",
        "id",
        postgresql_where=text("((result ~~ 'failed%'::text) AND (processed_at IS NOT NULL))"),
    ),
    Index("webhook_inbox_waiting_idx", "id", postgresql_where=text("(processed_at IS NULL)")),
)

parked_events = Table(
    "parked_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("message_uuid", UUID),
    Column("external_id", Text),
    Column("inbox_id", BigInteger),
    Column("fact", JSONB, nullable=False),
    Column("recorded_at", TIME, nullable=False, server_default=text("now()")),
    Index(
        "parked_events_external_id_idx",
        "gateway",
        "external_id",
        postgresql_where=text("(external_id IS NOT NULL)"),
    ),
    Index(
        "parked_events_message_uuid_idx", "message_uuid", postgresql_where=text("(message_uuid IS NOT NULL)")
    ),
)

inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("external_id", Text),
    Column("sender_address", Text, nullable=False),
    Column("recipient_address", Text, nullable=False),
    Column("body", Text),
    Column("kind", Text, nullable=False, server_default=text("'message'")),
    Column("message_id", BigInteger),
    Column("inbox_id", BigInteger),
    Column("received_at", TIME, nullable=False, server_default=text("now()")),
    Column("media", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("meaning", Text),
    Column("message_uuid", UUID),
    Column("client_id", BigInteger),
    Column("answered_at", TIME),
    Index("inbound_messages_sender_address_idx", "sender_address"),
    Index("inbound_messages_received_at_idx", "received_at", postgresql_using="brin"),
)

replays = Table(
    "replays",
    metadata,
    Column("uuid", UUID, primary_key=True, server_default=text("new_uuid()")),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("criteria", JSONB, nullable=False),
    Column("gateway", Text),
    Column("per_second", Double, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'running'")),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
    Column("next_at", TIME, nullable=False, server_default=text("now()")),
    Column("replayed", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("finished_at", TIME),
    Index("replays_running_idx", "created_at", postgresql_where=text("(state = 'running')")),
)

lookups = Table(
    "lookups",
    metadata,
    Column("message_id", BigInteger, primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("result", Text, nullable=False),
    Column("asked_at", TIME, nullable=False, server_default=text("now()")),
    Column("next_at", TIME, nullable=False),
    Index("lookups_asked_at_idx", "asked_at"),
)
