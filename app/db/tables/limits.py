"""What rate limits have counted, and who runs the mail of a domain."""

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import TIME, metadata

rate_windows = Table(
    "rate_windows",
    metadata,
    Column("limit_type", Text, primary_key=True),
    Column("limit_key", Text, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("times", ARRAY(BigInteger), nullable=False),
    Column("counts", ARRAY(BigInteger), nullable=False),
    Column("saved_at", TIME, nullable=False),
)

isp_domains = Table(
    "isp_domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("isp", Text),
    Column("mx", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("looked_up_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Index("isp_domains_looked_up_at_idx", "looked_up_at"),
)

limit_events = Table(
    "limit_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", TIME, nullable=False, server_default=text("now()")),
    Column("kind", Text, nullable=False),
    Column("limit_type", Text, nullable=False),
    Column("limit_key", Text, nullable=False),
    Column("gateway", Text),
    Column("detail", Text, nullable=False, server_default=text("''")),
)
