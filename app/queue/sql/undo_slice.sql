-- Makes pending again what a clearing cancelled, a few messages at a time, as they were, and logs it.
--
-- A message that was touched since is left alone: whoever did that meant it. The time between does not count
-- against a message's own. A batch that was finished by it goes on. Locked in the order of the ids, as
-- everybody does, whatever lanes they are in. Gives how many were looked at, and how many are pending again.
WITH taken AS MATERIALIZED (
    SELECT priority, message_id, cancelled_at
    FROM control_messages
    WHERE control_id = %(control)s
    ORDER BY priority, message_id
    LIMIT %(size)s
),
untouched AS MATERIALIZED (
    SELECT m.id
    FROM message_queue AS m
    JOIN taken ON taken.priority = m.priority AND taken.message_id = m.id
    WHERE m.id = ANY (ARRAY(SELECT message_id FROM taken))
      AND m.status = 'cancelled' AND m.updated_at = taken.cancelled_at
    ORDER BY m.id
    FOR NO KEY UPDATE OF m
),
restored AS (
    UPDATE message_queue AS m
    SET status = 'pending', expires_at = m.expires_at + (now() - taken.cancelled_at), updated_at = now()
    FROM taken
    WHERE m.id = ANY (ARRAY(SELECT id FROM untouched))
      AND m.priority = taken.priority AND m.id = taken.message_id
      AND m.status = 'cancelled' AND m.updated_at = taken.cancelled_at
    RETURNING m.id, m.priority, m.batch_id
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT id, priority, 'replayed', %(source)s, jsonb_build_object('undo', %(control)s::bigint) FROM restored
),
reopened AS (
    UPDATE message_batches
    SET state = 'expanded', finished_at = NULL
    WHERE state = 'finished' AND id IN (SELECT batch_id FROM restored)
),
done AS (
    DELETE FROM control_messages AS c
    USING taken
    WHERE c.control_id = %(control)s AND c.priority = taken.priority AND c.message_id = taken.message_id
)
SELECT (SELECT count(*) FROM taken) AS looked, (SELECT count(*) FROM restored) AS changed
