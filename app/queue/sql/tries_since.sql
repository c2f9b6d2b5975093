-- Counts the tries at gateways since a time, by all that limits are about, and by the second.
--
-- What a gateway tells later is no try. `reached` are those that may have gone on to a recipient. `until` is
-- the end of the second.
SELECT
    e.gateway,
    m.ip_pool,
    m.message_type,
    CASE WHEN m.channel = 'email' THEN lower(substring(m.recipient_address FROM '[^@]*$')) END AS domain,
    date_trunc('second', e.recorded_at) + interval '1 second' AS until,
    count(*) AS tries,
    count(*) FILTER (WHERE e.event_type IN ('sent', 'held')) AS reached
FROM delivery_events AS e
JOIN message_queue AS m ON m.id = e.message_id AND m.priority = e.priority
WHERE e.recorded_at > %(since)s
  AND e.event_type IN ('sent', 'attempt_failed', 'failed', 'held')
  AND e.source IN ('worker', 'ledger')
  AND e.gateway IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
