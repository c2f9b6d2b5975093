"""How much goes through, by the minute for a day and by the hour for a month."""

from alembic import op

revision = "0016"
down_revision = "0015"

_TABLE = """
CREATE TABLE throughput (
    grain text NOT NULL CONSTRAINT throughput_grain_check CHECK (grain IN ('minute', 'hour')),
    slot timestamptz NOT NULL,
    priority text NOT NULL,
    queued bigint NOT NULL,
    sent bigint NOT NULL,
    delivered bigint NOT NULL,
    bounced bigint NOT NULL,
    failed bigint NOT NULL,
    expired bigint NOT NULL,
    PRIMARY KEY (grain, slot, priority)
) WITH (fillfactor = 80);
"""


def upgrade() -> None:
    op.execute(_TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE throughput")
