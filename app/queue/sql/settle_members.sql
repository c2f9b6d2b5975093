-- Writes down what the gateway said about members, unless they changed their mind meanwhile.
--
-- Who joined is in; who left, and who was refused, is out; who waits is tried again.
WITH told AS (
    SELECT *
    FROM unnest(
        %(devices)s::bigint[], %(times)s::timestamptz[], %(results)s::text[], %(errors)s::text[]
    ) AS r (device_id, changed_at, result, error)
),
out AS (
    DELETE FROM topic_members AS t
    USING told
    WHERE t.topic_id = %(topic)s AND t.device_id = told.device_id AND t.changed_at = told.changed_at
      AND (told.result = 'refused' OR (told.result = 'done' AND t.state = 'unsubscribing'))
)
UPDATE topic_members AS t
SET
    state = CASE WHEN told.result = 'done' THEN 'subscribed' ELSE t.state END,
    error = told.error,
    tries = CASE WHEN told.result = 'done' THEN 0 ELSE t.tries + 1 END,
    changed_at = clock_timestamp()
FROM told
WHERE t.topic_id = %(topic)s AND t.device_id = told.device_id AND t.changed_at = told.changed_at
  AND (told.result = 'waiting' OR (told.result = 'done' AND t.state = 'subscribing'))
