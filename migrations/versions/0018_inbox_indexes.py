"""Who called last, and what could not be processed, without reading the inbox."""

from alembic import op

revision = "0018"
down_revision = "0017"

_INDEXES = """
CREATE INDEX webhook_inbox_gateway_idx ON webhook_inbox (gateway, id);
CREATE INDEX webhook_inbox_failed_idx ON webhook_inbox (id)
    WHERE result LIKE 'failed%' AND processed_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(_INDEXES)


def downgrade() -> None:
    op.execute("DROP INDEX webhook_inbox_gateway_idx, webhook_inbox_failed_idx")
