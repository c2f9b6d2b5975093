"""How the system watches itself: who is alive, how deliveries go, what diagnostics found."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from app.db.tables.base import TIME, metadata

process_beats = Table(
    "process_beats",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("lanes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("threads", Integer, nullable=False, server_default=text("0")),
    Column("busy", Integer, nullable=False, server_default=text("0")),
    Column("version", Text, nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("clock_at", TIME, nullable=False),
    Column("beat_at", TIME, nullable=False, server_default=text("now()")),
    Column("progress_at", TIME),
)

delivery_counts = Table(
    "delivery_counts",
    metadata,
    Column("slot", TIME, primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("sent", BigInteger, nullable=False, server_default=text("0")),
    Column("delivered", BigInteger, nullable=False, server_default=text("0")),
    Column("bounced", BigInteger, nullable=False, server_default=text("0")),
    Column("failed", BigInteger, nullable=False, server_default=text("0")),
)

# One row: events recorded before `until` are in the counts.
delivery_counted = Table(
    "delivery_counted",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("until", TIME, nullable=False),
)

diagnostic_runs = Table(
    "diagnostic_runs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("subjects", ARRAY(Text), nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("finished_at", TIME, nullable=False),
    Column("worst", Text),
    Column("findings", JSONB, nullable=False),
    Index("diagnostic_runs_scope_idx", "scope", "id"),
)
