-- Counts what gateways' events of the last while say, reading no more than `counted` events.
--
-- `began` and `ended` are the first and the last event that were read.
-- Gateways tell of sending, too: that is not counted a second time.
WITH recent AS MATERIALIZED (
    SELECT gateway, event_type, source, recorded_at
    FROM delivery_events
    WHERE recorded_at > now() - %(window)s
    LIMIT %(counted)s
)
SELECT
    gateway,
    count(*) FILTER (WHERE event_type = 'sent' AND source IN ('worker', 'ledger')) AS sent,
    count(*) FILTER (WHERE event_type = 'delivered') AS delivered,
    count(*) FILTER (WHERE event_type = 'bounced') AS bounced,
    count(*) FILTER (WHERE event_type = 'attempt_failed') AS failed,
    max(recorded_at) FILTER (WHERE event_type = 'sent' AND source IN ('worker', 'ledger')) AS last_sent_at,
    (SELECT count(*) < %(counted)s FROM recent) AS counted_all,
    (SELECT max(recorded_at) - min(recorded_at) FROM recent) AS span
FROM recent
WHERE gateway IS NOT NULL
GROUP BY gateway
