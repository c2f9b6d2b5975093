-- Lists the latest tries in a stretch of time that may have reached somebody, with whom, as limits compare these.
--
-- LIMIT 1 keeps the planner on each message's own index, whatever it believes of the counts.
WITH tried AS MATERIALIZED (
    SELECT e.message_id, e.priority, e.recorded_at
    FROM delivery_events AS e
    WHERE e.recorded_at > %(since)s AND e.recorded_at <= %(until)s
      AND e.event_type IN ('sent', 'held')
      AND e.source IN ('worker', 'ledger')
      AND e.gateway IS NOT NULL
    ORDER BY e.recorded_at DESC
    LIMIT %(limit)s
)
SELECT m.address, tried.recorded_at
FROM tried
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN q.channel = 'email' THEN lower(q.recipient_address) ELSE q.recipient_address END AS address
    FROM message_queue AS q
    WHERE q.id = tried.message_id AND q.priority = tried.priority
    LIMIT 1
) AS m
