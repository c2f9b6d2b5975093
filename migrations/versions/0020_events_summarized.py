"""The newest events, too, are found by their time: ranges of them are summarized as they fill.

Otherwise every look at a few seconds of the log reads all that came since the last vacuum of the month.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

_FUNCTION = """
CREATE OR REPLACE FUNCTION ensure_event_partitions(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    first date;
    part text;
    made integer := 0;
BEGIN
    FOR n IN 0..months LOOP
        first := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => n))::date;
        part := 'delivery_events_' || to_char(first, '"y"YYYY"m"MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF delivery_events FOR VALUES FROM (%L) TO (%L)',
                       part, first::timestamp AT TIME ZONE 'UTC',
                       (first + interval '1 month')::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part || '_no_truncate', part);
{}        made := made + 1;
    END LOOP;
    RETURN made;
END $$
"""

_SUMMARIZED = """\
        EXECUTE format('ALTER INDEX %I SET (autosummarize = on)', part || '_recorded_at_idx');
"""

# Partitions have indexes of their own, and what is set on the parent's does not reach them.
_EACH = """
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent = 'delivery_events_recorded_at_idx'::regclass
    LOOP
        EXECUTE format('ALTER INDEX %s {}', part);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute(_FUNCTION.format(_SUMMARIZED))
    op.execute(_EACH.format("SET (autosummarize = on)"))


def downgrade() -> None:
    op.execute(_EACH.format("RESET (autosummarize)"))
    op.execute(_FUNCTION.format(""))
