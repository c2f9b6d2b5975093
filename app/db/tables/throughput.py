"""How much went through, in minutes and in hours."""

from sqlalchemy import BigInteger, Column, Table, Text

from app.db.tables.base import TIME, metadata

throughput = Table(
    "throughput",
    metadata,
    Column("grain", Text, primary_key=True),
    Column("slot", TIME, primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("queued", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("bounced", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
)
