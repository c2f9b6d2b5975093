"""Dead letters: replays, decisions, asking gateways; and addresses found however they are capitalized."""

from alembic import op

revision = "0012"
down_revision = "0011"

_BEFORE = (
    "queued", "attempt_failed", "sent", "deferred", "delivered", "opened", "clicked", "bounced",
    "complained", "unsubscribed", "converted", "failed", "expired", "cancelled", "held", "failed_over",
    "suppressed", "replied", "confirmed",
)  # fmt: skip
_CHECK = "delivery_events_event_type_check"
_LANES = tuple(f"p{number}" for number in range(5))

_TABLES = """
CREATE TABLE replays (
    uuid uuid PRIMARY KEY DEFAULT new_uuid(),
    who text NOT NULL,
    why text NOT NULL,
    source text NOT NULL,
    criteria jsonb NOT NULL,
    gateway text,
    per_second double precision NOT NULL
        CONSTRAINT replays_per_second_check CHECK (per_second > 0),
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT replays_state_check CHECK (state IN ('running', 'finished', 'cancelled')),
    position bigint NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    replayed bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT replays_finished_has_time_check CHECK ((state = 'running') = (finished_at IS NULL))
);
CREATE INDEX replays_running_idx ON replays (created_at) WHERE state = 'running';

CREATE TABLE lookups (
    message_id bigint NOT NULL,
    priority text NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    result text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, priority)
);
CREATE INDEX lookups_asked_at_idx ON lookups (asked_at);
"""


def upgrade() -> None:
    op.execute(_TABLES)
    _allow((*_BEFORE, "replayed"))
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE delivery_events VALIDATE CONSTRAINT {_CHECK}")
        _index("recipient_key", "(lower(recipient_address))")
        _index("cancelled", "(id) WHERE status = 'cancelled'")
        op.execute("DROP INDEX message_queue_recipient_address_idx")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _index("recipient_address", "(recipient_address)")
        op.execute("DROP INDEX message_queue_cancelled_idx, message_queue_recipient_key_idx")
    _allow(_BEFORE)
    op.execute("DROP TABLE lookups, replays")


def _allow(kinds: tuple[str, ...]) -> None:
    """Let the log have these events; what is in it is not looked at while others wait."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.execute(f"ALTER TABLE delivery_events DROP CONSTRAINT {_CHECK}")
    op.execute(
        f"ALTER TABLE delivery_events ADD CONSTRAINT {_CHECK} CHECK (event_type IN ({listed})) NOT VALID"
    )


def _index(name: str, definition: str) -> None:
    """Build an index while the queue is in use: one lane after the other, then taken together.

    May be repeated where it was broken off.
    """
    whole = f"message_queue_{name}_idx"
    op.execute(f"DROP INDEX IF EXISTS {whole}")
    op.execute(f"CREATE INDEX {whole} ON ONLY message_queue {definition}")
    for lane in _LANES:
        part = f"message_queue_{lane}_{name}_idx"
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {part}")
        op.execute(f"CREATE INDEX CONCURRENTLY {part} ON message_queue_{lane} {definition}")
        op.execute(f"ALTER INDEX {whole} ATTACH PARTITION {part}")
