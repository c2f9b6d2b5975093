"""When a breaker changed, so that of two who write how it stands the later change wins."""

from alembic import op

revision = "0019"
down_revision = "0018"

# That a sender is taken again is kept for a while, so that older news of it are known for old.
_STATES = """
ALTER TABLE sender_health
    DROP CONSTRAINT sender_health_breaker_state_check,
    ADD CONSTRAINT sender_health_breaker_state_check CHECK (breaker_state IN ({}))
"""


def upgrade() -> None:
    op.execute("ALTER TABLE channel_health ADD COLUMN breaker_changed_at timestamptz")
    op.execute(_STATES.format("'closed', 'open', 'half_open'"))


def downgrade() -> None:
    op.execute("DELETE FROM sender_health WHERE breaker_state = 'closed'")
    op.execute(_STATES.format("'open', 'half_open'"))
    op.execute("ALTER TABLE channel_health DROP COLUMN breaker_changed_at")
