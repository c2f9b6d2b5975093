-- Adds the events recorded from `since` to before `until` to the counts of their ten minutes, and to those
-- of their minute and hour for charts. The events are read once for both.
--
-- Whoever runs it holds the row of delivery_counted and moves it on in the same transaction, so that each
-- event counts once. A delivery that we inferred from an opening is left out: where its gateway tells of
-- deliveries, its own word comes, too; and so is a gateway's own word that it sends what we gave it.
WITH counted AS MATERIALIZED (
    SELECT
        date_trunc('minute', recorded_at) AS minute,
        priority,
        coalesce(gateway, '') AS gateway,
        count(*) FILTER (WHERE event_type = 'queued') AS queued,
        count(*) FILTER (WHERE event_type = 'sent') AS sent,
        count(*) FILTER (WHERE event_type = 'delivered') AS delivered,
        count(*) FILTER (WHERE event_type = 'bounced') AS bounced,
        count(*) FILTER (WHERE event_type = 'failed') AS failed,
        count(*) FILTER (WHERE event_type = 'expired') AS expired
    FROM delivery_events
    WHERE recorded_at >= %(since)s AND recorded_at < %(until)s
      AND event_type IN ('queued', 'sent', 'delivered', 'bounced', 'failed', 'expired')
      AND NOT (source = 'worker' AND event_type = 'delivered')
      AND (event_type <> 'sent' OR source IN ('worker', 'ledger'))
    GROUP BY 1, 2, 3
),
charted AS (
    INSERT INTO throughput AS t (grain, slot, priority, queued, sent, delivered, bounced, failed, expired)
    SELECT
        g.grain, g.slot, c.priority,
        sum(c.queued), sum(c.sent), sum(c.delivered), sum(c.bounced), sum(c.failed), sum(c.expired)
    FROM counted AS c
    CROSS JOIN LATERAL (
        VALUES ('minute', c.minute), ('hour', date_trunc('hour', c.minute, 'UTC'))
    ) AS g (grain, slot)
    GROUP BY g.grain, g.slot, c.priority
    ON CONFLICT (grain, slot, priority) DO UPDATE SET
        queued = t.queued + excluded.queued,
        sent = t.sent + excluded.sent,
        delivered = t.delivered + excluded.delivered,
        bounced = t.bounced + excluded.bounced,
        failed = t.failed + excluded.failed,
        expired = t.expired + excluded.expired
)
INSERT INTO delivery_counts AS c (slot, priority, gateway, sent, delivered, bounced, failed)
SELECT
    to_timestamp(floor(extract(epoch FROM minute) / 600) * 600), priority, gateway,
    sum(sent), sum(delivered), sum(bounced), sum(failed)
FROM counted
WHERE sent + delivered + bounced + failed > 0
GROUP BY 1, 2, 3
ON CONFLICT (slot, priority, gateway) DO UPDATE SET
    sent = c.sent + excluded.sent,
    delivered = c.delivered + excluded.delivered,
    bounced = c.bounced + excluded.bounced,
    failed = c.failed + excluded.failed
RETURNING 1
