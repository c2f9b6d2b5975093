-- Counts the due messages of one lane, on one channel or (null) on all, but never further than `limit`.
-- Those of callers that are stopped do not count.
--
-- Flow by flow, so that messages for later, however many there are, are not walked over.
SELECT count(*) AS depth
FROM (
    SELECT
    FROM lane_flows AS f
    CROSS JOIN LATERAL (
        SELECT m.id
        FROM message_queue AS m
        WHERE m.priority = %(priority)s AND m.status = 'pending'
          AND m.channel = f.channel AND m.client_id = f.client_id
          AND m.scheduled_for <= now()
        ORDER BY m.scheduled_for, m.id
        LIMIT %(limit)s
    ) AS due
    WHERE f.priority = %(priority)s AND (%(channel)s::text IS NULL OR f.channel = %(channel)s)
      AND f.client_id <> ALL (%(stopped_clients)s::bigint[])
    LIMIT %(limit)s
) AS counted
