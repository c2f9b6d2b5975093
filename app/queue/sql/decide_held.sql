-- Does what somebody decided about held messages, where they still are held, and logs it.
--
-- What is said to be sent was sent when it was held. Locked in the order of the ids, as everybody does.
-- Gives the ids of those that it was done about.
WITH held AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE id = ANY (%(ids)s::bigint[]) AND priority = ANY (%(priorities)s::text[]) AND status = 'held'
    ORDER BY id
    FOR NO KEY UPDATE
),
decided AS (
    UPDATE message_queue AS m
    SET
        status = %(status)s,
        sent_at = CASE WHEN %(status)s = 'sent' THEN coalesce(m.sent_at, m.updated_at) ELSE m.sent_at END,
        updated_at = now()
    WHERE m.id = ANY (ARRAY(SELECT id FROM held)) AND m.priority = ANY (%(priorities)s::text[])
      AND m.status = 'held'
    RETURNING m.id, m.priority, m.tries, m.gateway
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, attempt, gateway, outcome, source, data)
    SELECT
        id, priority, %(status)s, tries, gateway, CASE WHEN %(status)s = 'failed' THEN 'unknown' END,
        %(source)s, '{"decided": true}'
    FROM decided
)
SELECT id FROM decided
