-- Has one device follow the topics of another in its place.
WITH moved AS (
    DELETE FROM topic_members
    WHERE device_id = %(old)s
    RETURNING topic_id, state
)
INSERT INTO topic_members AS t (topic_id, device_id, state)
SELECT topic_id, %(new)s, %(state)s
FROM moved
WHERE state <> 'unsubscribing'
ON CONFLICT (topic_id, device_id) DO UPDATE
SET state = excluded.state, error = NULL, tries = 0, changed_at = clock_timestamp()
WHERE t.state = 'unsubscribing'
