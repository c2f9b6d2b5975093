-- Expires pending messages of a lane on the clock whose time is over, and logs it; at most `limit`.
WITH late AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE priority = %(priority)s AND status = 'pending' AND expires_at <= now()
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
changed AS (
    UPDATE message_queue AS m
    SET status = 'expired', next_retry_at = NULL, updated_at = now()
    WHERE m.priority = %(priority)s AND m.id = ANY (ARRAY(SELECT id FROM late))
    RETURNING m.id
)
INSERT INTO delivery_events (message_id, priority, event_type, source)
SELECT id, %(priority)s, 'expired', 'worker' FROM changed
RETURNING message_id
