"""What gateways ask for sending, and what was spent."""

from sqlalchemy import BigInteger, Column, Date, Identity, Numeric, Table, Text, UniqueConstraint, text

from app.db.tables.base import TIME, metadata

prices = Table(
    "prices",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("prefix", Text, nullable=False, server_default=text("'*'")),
    Column("unit", Text, nullable=False),
    Column("amount", Numeric(18, 8), nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_from", TIME, nullable=False, server_default=text("now()")),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("channel", "gateway", "prefix", "valid_from", name="prices_scope_key"),
)

# A currency of no letters stands for what had no price.
spending = Table(
    "spending",
    metadata,
    Column("day", Date, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("gateway", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("segments", BigInteger, nullable=False),
    Column("amount", Numeric(24, 8), nullable=False),
)

spending_deltas = Table(
    "spending_deltas",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("day", Date, nullable=False),
    Column("channel", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("segments", BigInteger, nullable=False),
    Column("amount", Numeric(24, 8), nullable=False),
)
