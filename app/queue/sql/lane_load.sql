-- Tells how much of one lane waits though it is due, counted no further than `limit`, and for how long
-- the oldest of it has waited by this server's clock.
--
-- Flow by flow, so that messages for later, however many there are, are not walked over.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM lane_flows AS f
            CROSS JOIN LATERAL (
                SELECT m.id
                FROM message_queue AS m
                WHERE m.priority = %(priority)s AND m.status = 'pending'
                  AND m.channel = f.channel AND m.client_id = f.client_id
                  AND m.scheduled_for <= now()
                ORDER BY m.scheduled_for, m.id
                LIMIT %(limit)s
            ) AS due
            WHERE f.priority = %(priority)s
            LIMIT %(limit)s
        ) AS counted
    ) AS due,
    (
        SELECT now() - min(first.scheduled_for)
        FROM lane_flows AS f
        CROSS JOIN LATERAL (
            SELECT m.scheduled_for
            FROM message_queue AS m
            WHERE m.priority = %(priority)s AND m.status = 'pending'
              AND m.channel = f.channel AND m.client_id = f.client_id
              AND m.scheduled_for <= now()
            ORDER BY m.scheduled_for, m.id
            LIMIT 1
        ) AS first
        WHERE f.priority = %(priority)s
    ) AS oldest
