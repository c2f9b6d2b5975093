-- Tells in how many seconds the next message of a lane comes due that is not due yet; null where none does.
--
-- Flow by flow, each read from now on in the index on due work, so that neither what is due nor what was
-- claimed a moment ago is walked over.
SELECT extract(EPOCH FROM min(following.scheduled_for) - now())::float8 AS seconds
FROM lane_flows AS f
CROSS JOIN LATERAL (
    SELECT m.scheduled_for
    FROM message_queue AS m
    WHERE m.priority = %(priority)s AND m.status = 'pending'
      AND m.channel = f.channel AND m.client_id = f.client_id
      AND m.scheduled_for > now()
    ORDER BY m.scheduled_for, m.id
    LIMIT 1
) AS following
WHERE f.priority = %(priority)s AND f.channel = ANY (%(channels)s::text[])
