"""Messages that follow one another until one of them arrives."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Interval,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from app.db.tables.base import TIME, metadata

sequences = Table(
    "sequences",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("uuid", UUID, nullable=False, server_default=text("new_uuid()")),
    Column("client_id", BigInteger, ForeignKey("api_clients.id"), nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False, server_default=text("'running'")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("finished_at", TIME),
    UniqueConstraint("uuid", name="sequences_uuid_key"),
    Index("sequences_finished_at_idx", "finished_at", postgresql_where=text("(finished_at IS NOT NULL)")),
)

sequence_steps = Table(
    "sequence_steps",
    metadata,
    Column("sequence_id", BigInteger, ForeignKey("sequences.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("until", Text, nullable=False, server_default=text("'delivered'")),
    Column("after", Interval, nullable=False),
    Column("due_at", TIME, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("request", JSONB),
    Column("error", Text),
    Column("decided_at", TIME),
    Index("sequence_steps_due_idx", "due_at", postgresql_where=text("(state = 'waiting')")),
)

sequence_messages = Table(
    "sequence_messages",
    metadata,
    Column("sequence_id", BigInteger, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("message_id", BigInteger, primary_key=True),
    Column("message_priority", Text, nullable=False),
    Column("message_uuid", UUID, nullable=False),
    ForeignKeyConstraint(
        ["sequence_id", "position"],
        ["sequence_steps.sequence_id", "sequence_steps.position"],
        ondelete="CASCADE",
    ),
)
