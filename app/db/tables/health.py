"""How gateways, senders and the names of our mail do, and every change of it."""

from sqlalchemy import BigInteger, Column, Double, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import TIME, metadata

gateway_minutes = Table(
    "gateway_minutes",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("minute", TIME, primary_key=True),
    Column("accepted", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("latency_ms", BigInteger, nullable=False),
    Column("peak_per_sec", Double, nullable=False),
    Column("latencies", ARRAY(Integer), nullable=False),
    Index("gateway_minutes_minute_idx", "minute", postgresql_using="brin"),
)

sender_health = Table(
    "sender_health",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("breaker_state", Text, nullable=False),
    Column("breaker_until", TIME),
    Column("reason", Text, nullable=False),
    Column("changed_at", TIME, nullable=False),
)

health_changes = Table(
    "health_changes",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", TIME, nullable=False, server_default=text("now()")),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("gateway", Text),
    Column("scope", Text),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("who", Text),
)

reputation_deltas = Table(
    "reputation_deltas",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("hour", TIME, nullable=False),
    Column("sent", BigInteger, nullable=False, server_default=text("0")),
    Column("bounced", BigInteger, nullable=False, server_default=text("0")),
    Column("complained", BigInteger, nullable=False, server_default=text("0")),
)

reputation_hours = Table(
    "reputation_hours",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("hour", TIME, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("bounced", BigInteger, nullable=False),
    Column("complained", BigInteger, nullable=False),
)

reputations = Table(
    "reputations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("level", Integer, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("changed_at", TIME, nullable=False, server_default=text("now()")),
    Column("per_minute", Integer),
    Column("lifted_until", TIME),
    Column("lifted_by", Text),
    Column("lifted_why", Text),
)
