-- Notes when messages were asked about, what came of it, and when to ask again.
INSERT INTO lookups (message_id, priority, tries, result, next_at)
SELECT l.message_id, l.priority, l.tries, l.result, now() + l.wait
FROM unnest(
    %(ids)s::bigint[], %(priorities)s::text[], %(tries)s::int[], %(results)s::text[], %(waits)s::interval[]
) AS l (message_id, priority, tries, result, wait)
ON CONFLICT (message_id, priority) DO UPDATE
SET tries = excluded.tries, result = excluded.result, next_at = excluded.next_at, asked_at = now()
