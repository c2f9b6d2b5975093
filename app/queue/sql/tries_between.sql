-- Counts the tries at gateways in a stretch of time, by all that limits are about, and by the second.
--
-- What a gateway tells later is no try. `reached` are those that may have gone on to a recipient. `ends_at`
-- is the end of the second. LIMIT 1 keeps the planner on each message's own index, whatever it believes of
-- the counts.
WITH tried AS MATERIALIZED (
    SELECT e.message_id, e.priority, e.gateway, e.event_type, e.recorded_at
    FROM delivery_events AS e
    WHERE e.recorded_at > %(since)s AND e.recorded_at <= %(until)s
      AND e.event_type IN ('sent', 'attempt_failed', 'failed', 'held')
      AND e.source IN ('worker', 'ledger')
      AND e.gateway IS NOT NULL
)
SELECT
    tried.gateway,
    m.ip_pool,
    m.message_type,
    m.domain,
    date_trunc('second', tried.recorded_at) + interval '1 second' AS ends_at,
    count(*) AS tries,
    count(*) FILTER (WHERE tried.event_type IN ('sent', 'held')) AS reached
FROM tried
CROSS JOIN LATERAL (
    SELECT
        q.ip_pool,
        q.message_type,
        CASE WHEN q.channel = 'email' THEN lower(substring(q.recipient_address FROM '[^@]*$')) END AS domain
    FROM message_queue AS q
    WHERE q.id = tried.message_id AND q.priority = tried.priority
    LIMIT 1
) AS m
GROUP BY 1, 2, 3, 4, 5
