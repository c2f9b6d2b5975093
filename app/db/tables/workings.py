"""How requests, stops and jobs are kept from happening twice."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB

from app.db.tables.base import TIME, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client_id", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("answer", JSONB),
    Column("answer_status", Integer),
    Column("lease_until", TIME),
    Column("expires_at", TIME, nullable=False),
    Index("idempotency_keys_expires_at_idx", "expires_at"),
)

controls = Table(
    "controls",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("scope", Text),
    Column("scope_key", Text),
    Column("includes_p0", Boolean, nullable=False, server_default=text("false")),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("from_at", TIME, nullable=False, server_default=text("now()")),
    Column("until_at", TIME),
    Column("lifted_at", TIME),
    Column("lifted_by", Text),
    Column("lifted_why", Text),
    Column("procedure", Text, nullable=False, server_default=text("'stop'")),
    Column("state", Text),
    Column("ramp", INTERVAL),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Index("controls_in_force_idx", "scope", "scope_key", postgresql_where=text("(lifted_at IS NULL)")),
    Index(
        "controls_working_idx",
        "id",
        postgresql_where=text("(state = ANY (ARRAY['running', 'undoing']))"),
    ),
)

control_messages = Table(
    "control_messages",
    metadata,
    Column("control_id", BigInteger, ForeignKey("controls.id", ondelete="CASCADE"), primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("message_id", BigInteger, primary_key=True),
    Column("cancelled_at", TIME, nullable=False, server_default=text("now()")),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("job", Text, primary_key=True),
    Column("slot", TIME, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("started_at", TIME, nullable=False, server_default=text("now()")),
    Column("finished_at", TIME),
    Column("result", Text),
)

job_leader = Table(
    "job_leader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("lease_until", TIME, nullable=False),
)
