"""Rows that a new installation starts with."""

from alembic import op

revision = "0006"
down_revision = "0005"

_LIMITS = """
INSERT INTO rate_limits (limit_type, limit_key, max_per_minute, max_per_hour, notes) VALUES
    ('domain', 'gmail.com', NULL, 10000, 'Seeded'),
    ('domain', 'yahoo.com', NULL, 5000, 'Seeded'),
    ('domain', 'hotmail.com', NULL, 5000, 'Seeded'),
    ('domain', 'outlook.com', NULL, 5000, 'Seeded'),
    ('domain', 'aol.com', NULL, 3000, 'Seeded'),
    ('recipient', 'default', 10, NULL, 'Seeded: one recipient gets at most ten messages a minute')
"""


def upgrade() -> None:
    op.execute(_LIMITS)


def downgrade() -> None:
    op.execute("DELETE FROM rate_limits WHERE notes LIKE 'Seeded%'")
