-- Counts the due messages of one lane on one channel, but never further than `limit`.
SELECT count(*)
FROM (
    SELECT
    FROM message_queue
    WHERE priority = %(priority)s AND status = 'pending' AND channel = %(channel)s AND scheduled_for <= now()
    LIMIT %(limit)s
) AS due
