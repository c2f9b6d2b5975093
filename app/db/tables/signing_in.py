"""How people come in, and stay in for a while."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.db.tables.base import TIME, metadata

user_sessions = Table(
    "user_sessions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id"), nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("last_seen_at", TIME, nullable=False, server_default=text("now()")),
    Column("expires_at", TIME, nullable=False),
    Column("revoked_at", TIME),
    Column("origin", Text),
    Column("agent", Text),
    UniqueConstraint("token_hash", name="user_sessions_token_hash_key"),
    Index("user_sessions_user_id_idx", "user_id"),
    Index("user_sessions_expires_at_idx", "expires_at"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id"), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    Column("used_at", TIME),
)

sign_in_origins = Table(
    "sign_in_origins",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", TIME, nullable=False),
    Column("locked_until", TIME),
    Index("sign_in_origins_last_at_idx", "last_at"),
)

console_keys = Table(
    "console_keys",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("secret", Text, nullable=False),
)
