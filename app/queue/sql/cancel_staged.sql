-- Removes some lines of a cancelled batch that never became messages, and counts them as cancelled.
--
-- Gives one row with the number of lines removed, counted or not.
WITH batch AS MATERIALIZED (
    SELECT id, expanded_line FROM message_batches WHERE id = %(batch)s AND state = 'cancelled' FOR UPDATE
),
removed AS (
    DELETE FROM batch_staging AS s
    USING batch
    WHERE s.batch_id = %(batch)s
      AND s.line IN (SELECT line FROM batch_staging WHERE batch_id = %(batch)s ORDER BY line LIMIT %(size)s)
    RETURNING s.line > batch.expanded_line AS waited
),
counted AS (
    UPDATE message_batches
    SET cancelled = cancelled + (SELECT count(*) FROM removed WHERE waited)
    FROM batch
    WHERE message_batches.id = batch.id
)
SELECT count(*) AS removed FROM removed
