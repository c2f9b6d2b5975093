-- Adds up what changed in batches' messages since the last time, each change once.
--
-- One folder at a time: all deltas of a transaction must be folded together, or a message between two
-- states would be counted in none, and its batch taken for finished. Gives one row with the number folded.
WITH mine AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('fold_deltas', 0)) AS locked
),
taken AS (
    DELETE FROM batch_deltas
    WHERE (SELECT locked FROM mine)
    RETURNING batch_id, status, change
),
change AS MATERIALIZED (
    SELECT
        batch_id,
        count(*) AS deltas,
        coalesce(sum(change) FILTER (WHERE status = 'pending'), 0) AS pending,
        coalesce(sum(change) FILTER (WHERE status = 'processing'), 0) AS processing,
        coalesce(sum(change) FILTER (WHERE status = 'sent'), 0) AS sent,
        coalesce(sum(change) FILTER (WHERE status = 'delivered'), 0) AS delivered,
        coalesce(sum(change) FILTER (WHERE status = 'bounced'), 0) AS bounced,
        coalesce(sum(change) FILTER (WHERE status = 'failed'), 0) AS failed,
        coalesce(sum(change) FILTER (WHERE status = 'expired'), 0) AS expired,
        coalesce(sum(change) FILTER (WHERE status = 'cancelled'), 0) AS cancelled,
        coalesce(sum(change) FILTER (WHERE status = 'suppressed'), 0) AS suppressed,
        coalesce(sum(change) FILTER (WHERE status = 'held'), 0) AS held
    FROM taken
    GROUP BY batch_id
),
folded AS (
    UPDATE message_batches AS b
    SET
        pending = b.pending + change.pending,
        processing = b.processing + change.processing,
        sent = b.sent + change.sent,
        delivered = b.delivered + change.delivered,
        bounced = b.bounced + change.bounced,
        failed = b.failed + change.failed,
        expired = b.expired + change.expired,
        cancelled = b.cancelled + change.cancelled,
        suppressed = b.suppressed + change.suppressed,
        held = b.held + change.held,
        -- A replay opens a finished batch again; it is finished anew when all rests.
        finished_at = CASE
            WHEN b.pending + b.processing + b.held + change.pending + change.processing + change.held = 0
            THEN b.finished_at END,
        state = CASE
            WHEN b.state = 'finished'
                AND b.pending + b.processing + b.held + change.pending + change.processing + change.held > 0
            THEN 'expanded' ELSE b.state END
    FROM change
    WHERE b.id = change.batch_id
)
SELECT coalesce(sum(deltas), 0) AS folded FROM change
