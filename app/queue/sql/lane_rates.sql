-- Tells how many messages of each lane went out in the last while, reading no more than `counted` events.
--
-- `span` is what the events that were read cover, where there were more than that.
-- Gateways tell of sending, too: that is not counted a second time.
WITH recent AS MATERIALIZED (
    SELECT priority, event_type, source, recorded_at
    FROM delivery_events
    WHERE recorded_at > now() - %(window)s
    LIMIT %(counted)s
)
SELECT
    priority,
    count(*) FILTER (WHERE event_type = 'sent' AND source IN ('worker', 'ledger')) AS sent,
    (SELECT count(*) < %(counted)s FROM recent) AS counted_all,
    (SELECT max(recorded_at) - min(recorded_at) FROM recent) AS span
FROM recent
GROUP BY priority
