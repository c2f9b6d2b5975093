-- Adds the events recorded from `since` to before `until` to the counts of their ten minutes.
--
-- Whoever runs it holds the row of delivery_counted and moves it on in the same transaction, so that each
-- event counts once. A delivery that we inferred from an opening is left out: where its gateway tells of
-- deliveries, its own word comes, too.
WITH counted AS (
    SELECT
        to_timestamp(floor(extract(epoch FROM recorded_at) / 600) * 600) AS slot,
        priority,
        coalesce(gateway, '') AS gateway,
        count(*) FILTER (WHERE event_type = 'sent') AS sent,
        count(*) FILTER (WHERE event_type = 'delivered') AS delivered,
        count(*) FILTER (WHERE event_type = 'bounced') AS bounced,
        count(*) FILTER (WHERE event_type = 'failed') AS failed
    FROM delivery_events
    WHERE recorded_at >= %(since)s AND recorded_at < %(until)s
      AND event_type IN ('sent', 'delivered', 'bounced', 'failed')
      AND NOT (source = 'worker' AND event_type = 'delivered')
    GROUP BY 1, 2, 3
)
INSERT INTO delivery_counts AS c (slot, priority, gateway, sent, delivered, bounced, failed)
SELECT slot, priority, gateway, sent, delivered, bounced, failed
FROM counted
ON CONFLICT (slot, priority, gateway) DO UPDATE SET
    sent = c.sent + excluded.sent,
    delivered = c.delivered + excluded.delivered,
    bounced = c.bounced + excluded.bounced,
    failed = c.failed + excluded.failed
RETURNING 1
