-- Erases whom messages went to and what they said, the next few by id; at most `limit`.
--
-- What was not sent yet is cancelled, and logged. What a worker has at this moment is left to it. Ids of the
-- gateway stay, so that what it tells later finds its row. Gives the ids with what they were, and the
-- webhooks that told about them.
WITH meant AS MATERIALIZED (
    SELECT id, status
    FROM message_queue
    WHERE lower(recipient_address) = ANY (%(keys)s::text[])
      AND (channel <> 'push' OR recipient_address = ANY (%(spellings)s::text[]))
      AND status <> 'processing'
    ORDER BY id
    LIMIT %(limit)s
    FOR NO KEY UPDATE
),
erased AS (
    UPDATE message_queue AS m
    SET
        recipient_address = %(name)s,
        recipient_type = NULL,
        recipient_id = NULL,
        subject = NULL,
        body_text = NULL,
        body_html = NULL,
        content_data = NULL,
        options = NULL,
        status = CASE WHEN m.status IN ('pending', 'held') THEN 'cancelled' ELSE m.status END,
        updated_at = CASE WHEN m.status IN ('pending', 'held') THEN now() ELSE m.updated_at END
    FROM meant
    WHERE m.id = ANY (ARRAY(SELECT id FROM meant)) AND m.id = meant.id AND m.status = meant.status
    RETURNING m.id, m.priority, meant.status IN ('pending', 'held') AS cancelled
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT id, priority, 'cancelled', %(source)s, '{"erased": true}' FROM erased WHERE cancelled
),
told AS (
    SELECT DISTINCT e.inbox_id
    FROM delivery_events AS e
    WHERE e.message_id = ANY (ARRAY(SELECT id FROM erased)) AND e.inbox_id IS NOT NULL
),
letter AS (
    UPDATE webhook_inbox
    SET body = NULL, headers = '{}', url = '', erased_at = now()
    WHERE id = ANY (ARRAY(SELECT inbox_id FROM told)) AND processed_at IS NOT NULL AND erased_at IS NULL
    RETURNING id
)
SELECT
    (SELECT count(*) FROM erased) AS erased,
    (SELECT count(*) FROM erased WHERE cancelled) AS cancelled,
    (SELECT count(*) FROM letter) AS letters
