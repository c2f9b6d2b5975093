-- Cancels those of a batch's messages that are still pending, among the next few by id, and logs it.
--
-- Messages that a worker is claiming at this moment are left to it. Gives the last id that was looked
-- at, or null after the last one.
WITH looked AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE priority = %(priority)s AND batch_id = %(batch)s
      AND id > %(after)s AND id <= %(last)s
    ORDER BY id
    LIMIT %(size)s
),
open AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE priority = %(priority)s AND id = ANY (ARRAY(SELECT id FROM looked)) AND status = 'pending'
    FOR UPDATE SKIP LOCKED
),
cancelled AS (
    UPDATE message_queue
    SET status = 'cancelled', updated_at = now()
    WHERE priority = %(priority)s AND id = ANY (ARRAY(SELECT id FROM open))
    RETURNING id
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source)
    SELECT id, %(priority)s, 'cancelled', %(source)s FROM cancelled
)
SELECT max(id) AS last FROM looked
