"""Who calls and who operates."""

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
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB

from app.db.tables.base import TIME, metadata

api_clients = Table(
    "api_clients",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("name", name="api_clients_name_key"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("client_id", BigInteger, ForeignKey("api_clients.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("allowed_addresses", ARRAY(CIDR)),
    Column("max_per_minute", Integer),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    Column("rotated_to", BigInteger, ForeignKey("api_keys.id")),
    Column("last_used_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("hash", name="api_keys_hash_key"),
    Index("api_keys_client_id_idx", "client_id"),
)

roles = Table(
    "roles",
    metadata,
    Column("name", Text, primary_key=True),
    Column("description", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("password_hash", Text),
    Column("totp_secret", Text),
    Column("role", Text, ForeignKey("roles.name"), nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("failed_logins", Integer, nullable=False, server_default=text("0")),
    Column("locked_until", TIME),
    Column("last_login_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("must_change_password", Boolean, nullable=False, server_default=text("false")),
    Column("last_totp_step", BigInteger),
    Column("oidc_subject", Text),
    UniqueConstraint("email", name="users_email_key"),
    UniqueConstraint("oidc_subject", name="users_oidc_subject_key"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", TIME, nullable=False, server_default=text("now()")),
    Column("actor", Text, nullable=False),
    Column("origin", Text),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("why", Text),
    Index("audit_log_target_idx", "target", "id"),
)
