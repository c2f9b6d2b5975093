"""Emergency procedures: stops that end gradually, and what an operator cleared or switched."""

from alembic import op

revision = "0013"
down_revision = "0012"

_CONTROLS = """
ALTER TABLE controls
    ALTER COLUMN scope DROP NOT NULL,
    ADD COLUMN procedure text NOT NULL DEFAULT 'stop'
        CONSTRAINT controls_procedure_check
        CHECK (procedure IN ('stop', 'switch_provider', 'clear_queue', 'reset_rate_limits', 'trip_breaker',
                             'reset_breaker')),
    ADD COLUMN state text
        CONSTRAINT controls_state_check
        CHECK (state IN ('previewed', 'running', 'done', 'undoing', 'undone')),
    ADD COLUMN ramp interval,
    ADD COLUMN details jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT controls_stop_has_scope_check
        CHECK (procedure <> 'stop'
               OR (scope IS NOT NULL AND (scope = 'all') = (scope_key IS NULL) AND state IS NULL));
CREATE INDEX controls_working_idx ON controls (id) WHERE state IN ('running', 'undoing');

CREATE TABLE control_messages (
    control_id bigint NOT NULL REFERENCES controls ON DELETE CASCADE,
    priority text NOT NULL,
    message_id bigint NOT NULL,
    cancelled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (control_id, priority, message_id)
);
"""

# A stop's time ends with it, and so does what we let go only slowly after it.
_WAITING = """
CREATE FUNCTION waited_until(of_priority text) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT greatest(
        (SELECT max(coalesce(held_until, now())) FROM lane_holds WHERE priority = of_priority),
        (
            SELECT max(least(least(lifted_at, until_at) + coalesce(ramp, interval '0'), now()))
            FROM controls
            WHERE procedure = 'stop' AND scope IN ('all', 'channel', 'priority', 'client') AND from_at < now()
        ))
$$;

CREATE FUNCTION waited_time(
    of_priority text, of_channel text, of_client bigint, since timestamptz, until timestamptz)
RETURNS interval LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(upper(waited) - lower(waited)), interval '0')
    FROM unnest((
        SELECT range_agg(tstzrange(greatest(w.began, since), least(w.ended, until)))
        FROM (
            SELECT held_from AS began, held_until AS ended
            FROM lane_holds
            WHERE priority = of_priority AND channel = of_channel
            UNION ALL
            SELECT from_at, least(lifted_at, until_at) + coalesce(ramp, interval '0')
            FROM controls
            WHERE procedure = 'stop'
              AND CASE scope
                  WHEN 'all' THEN true
                  WHEN 'channel' THEN scope_key = of_channel
                  WHEN 'priority' THEN scope_key = of_priority
                  WHEN 'client' THEN scope_key = of_client::text
                  ELSE false END
        ) AS w
        WHERE w.began < until AND coalesce(w.ended, until) > since AND w.began < coalesce(w.ended, until)
    )) AS waited
$$;
"""


def upgrade() -> None:
    op.execute(_CONTROLS)
    op.execute(_WAITING)


def downgrade() -> None:
    op.execute("DROP FUNCTION waited_time(text, text, bigint, timestamptz, timestamptz)")
    op.execute("DROP FUNCTION waited_until(text)")
    op.execute("DROP TABLE control_messages")
    op.execute("DELETE FROM controls WHERE procedure <> 'stop'")
    op.execute("DROP INDEX controls_working_idx")
    op.execute("""
        ALTER TABLE controls
            DROP CONSTRAINT controls_stop_has_scope_check,
            DROP COLUMN procedure, DROP COLUMN state, DROP COLUMN ramp, DROP COLUMN details,
            ALTER COLUMN scope SET NOT NULL
    """)
