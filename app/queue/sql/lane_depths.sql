-- Tells how deep each lane is, counting no further than `counted` in each flow and state.
--
-- Flows are looked at one by one, so that the index on due work is read from its right place and a
-- million messages scheduled for tomorrow do not stand in the way of ten that are due.
SELECT
    lane.priority,
    coalesce(sum(due.number), 0)::bigint AS due,
    coalesce(sum(scheduled.number), 0)::bigint AS scheduled,
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM message_queue AS m
            WHERE m.priority = lane.priority AND m.status = 'processing'
            LIMIT %(counted)s
        ) AS few
    ) AS processing,
    now() - min(due.oldest) AS oldest_age
FROM unnest(%(priorities)s::text[]) AS lane (priority)
LEFT JOIN lane_flows AS f USING (priority)
LEFT JOIN LATERAL (
    SELECT count(*) AS number, min(few.scheduled_for) AS oldest
    FROM (
        SELECT m.scheduled_for
        FROM message_queue AS m
        WHERE m.priority = f.priority AND m.channel = f.channel AND m.client_id = f.client_id
          AND m.status = 'pending' AND m.scheduled_for <= now()
        ORDER BY m.scheduled_for
        LIMIT %(counted)s
    ) AS few
) AS due ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS number
    FROM (
        SELECT
        FROM message_queue AS m
        WHERE m.priority = f.priority AND m.channel = f.channel AND m.client_id = f.client_id
          AND m.status = 'pending' AND m.scheduled_for > now()
        LIMIT %(counted)s
    ) AS few
) AS scheduled ON true
GROUP BY lane.priority
ORDER BY lane.priority
