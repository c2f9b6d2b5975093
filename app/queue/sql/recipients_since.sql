-- Lists the latest tries since a time that may have reached somebody, with whom, as limits compare these.
SELECT
    CASE WHEN m.channel = 'email' THEN lower(m.recipient_address) ELSE m.recipient_address END AS address,
    e.recorded_at
FROM delivery_events AS e
JOIN message_queue AS m ON m.id = e.message_id AND m.priority = e.priority
WHERE e.recorded_at > %(since)s
  AND e.event_type IN ('sent', 'held')
  AND e.source IN ('worker', 'ledger')
  AND e.gateway IS NOT NULL
ORDER BY e.recorded_at DESC
LIMIT %(limit)s
