"""Limits: warming up a new pool, what windows held, who runs a domain's mail."""

from alembic import op

revision = "0015"
down_revision = "0014"

_FIGURES = """
ALTER TABLE rate_limits
    ADD COLUMN warmup_first integer CONSTRAINT rate_limits_warmup_first_check CHECK (warmup_first > 0),
    ADD COLUMN warmup_growth text
        CONSTRAINT rate_limits_warmup_growth_check CHECK (warmup_growth IN ('double', 'linear')),
    ADD COLUMN warmup_started_at timestamptz,
    ADD COLUMN last_exceeded_at timestamptz,
    ADD COLUMN last_exceeded_window text,
    ADD COLUMN exceeded_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT rate_limits_warmup_is_whole_check
        CHECK (num_nulls(warmup_first, warmup_growth, warmup_started_at) IN (0, 3)),
    ADD CONSTRAINT rate_limits_warmup_ends_check
        CHECK (warmup_first IS NULL OR (limit_type = 'ip_pool' AND max_per_day IS NOT NULL));
"""

_TABLES = """
CREATE TABLE rate_windows (
    limit_type text NOT NULL,
    limit_key text NOT NULL,
    "window" text NOT NULL
        CONSTRAINT rate_windows_window_check CHECK ("window" IN ('second', 'minute', 'hour', 'day')),
    times bigint[] NOT NULL,
    counts bigint[] NOT NULL,
    saved_at timestamptz NOT NULL,
    PRIMARY KEY (limit_type, limit_key, "window"),
    CONSTRAINT rate_windows_pairs_check CHECK (cardinality(times) = cardinality(counts))
);

CREATE TABLE isp_domains (
    domain text PRIMARY KEY,
    isp text,
    mx text[] NOT NULL DEFAULT '{}',
    looked_up_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX isp_domains_looked_up_at_idx ON isp_domains (looked_up_at);
"""


def upgrade() -> None:
    op.execute(_FIGURES)
    op.execute(_TABLES)


def downgrade() -> None:
    op.execute("DROP TABLE isp_domains, rate_windows")
    op.execute("""
        ALTER TABLE rate_limits
            DROP COLUMN warmup_first,
            DROP COLUMN warmup_growth,
            DROP COLUMN warmup_started_at,
            DROP COLUMN last_exceeded_at,
            DROP COLUMN last_exceeded_window,
            DROP COLUMN exceeded_count,
            DROP COLUMN updated_at
    """)
