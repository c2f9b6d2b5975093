-- Takes devices out of a topic. Those that FCM knows as members leave once it was told.
WITH asked AS (
    SELECT t.device_id, d.platform
    FROM topic_members AS t
    JOIN device_tokens AS d ON d.id = t.device_id
    WHERE t.topic_id = %(topic)s AND d.token = ANY (%(tokens)s::text[]) AND t.state <> 'unsubscribing'
    ORDER BY t.device_id
    FOR UPDATE OF t
),
gone AS (
    DELETE FROM topic_members
    WHERE topic_id = %(topic)s AND device_id IN (SELECT device_id FROM asked WHERE platform = 'apns')
)
UPDATE topic_members
SET state = 'unsubscribing', error = NULL, tries = 0, changed_at = clock_timestamp()
WHERE topic_id = %(topic)s AND device_id IN (SELECT device_id FROM asked WHERE platform = 'fcm')
