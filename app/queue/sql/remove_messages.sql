-- Removes messages of one lane that rest and were kept long enough, among the next few by id.
--
-- Ids are in order of time, so the walk ends with the first few that are all younger. Gives one row: how
-- many were removed, and the last id that was looked at, or null where nothing older follows.
WITH looked AS MATERIALIZED (
    SELECT id, status, created_at, updated_at
    FROM message_queue
    WHERE priority = %(priority)s AND id > %(after)s
    ORDER BY id
    LIMIT %(limit)s
),
removed AS (
    DELETE FROM message_queue
    WHERE priority = %(priority)s
      AND id = ANY (ARRAY(SELECT id FROM looked WHERE updated_at < now() - %(kept)s))
      AND status IN ('sent', 'delivered', 'bounced', 'failed', 'expired', 'cancelled', 'suppressed')
      AND updated_at < now() - %(kept)s
    RETURNING id
)
SELECT
    (SELECT count(*) FROM removed) AS removed,
    CASE WHEN bool_or(created_at < now() - %(kept)s) THEN max(id) END AS last
FROM looked
