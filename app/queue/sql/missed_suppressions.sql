-- Finds bounces and complaints within `window` that left no suppression behind; at most `limit`.
--
-- One that somebody has released since stays released: the log has no addresses, but a mark of each. Worst reasons first; soft bounces come too, though
-- most of them call for nothing yet. One row for each address and reason.
WITH bad AS (
    SELECT
        e.message_id,
        e.priority,
        coalesce(e.gateway, e.source) AS source,
        e.recorded_at,
        CASE
            WHEN e.event_type = 'complained' THEN 'complaint'
            WHEN e.outcome = 'recipient' THEN 'bounce_hard'
            ELSE 'bounce_soft' END AS reason
    FROM delivery_events AS e
    WHERE e.recorded_at > now() - %(window)s
      AND (e.event_type = 'complained'
           OR (e.event_type IN ('bounced', 'failed') AND e.outcome IN ('recipient', 'unreachable')))
),
blamed AS (
    SELECT
        bad.*,
        m.channel,
        m.recipient_address,
        CASE m.channel
            WHEN 'email' THEN lower(m.recipient_address COLLATE "C") COLLATE "default"
            ELSE m.recipient_address END AS key
    FROM bad
    JOIN message_queue AS m ON m.priority = bad.priority AND m.id = bad.message_id
    -- A device that is gone leaves no row, but is out of use.
    WHERE m.channel <> 'push'
),
missed AS MATERIALIZED (
    SELECT DISTINCT ON (channel, key, reason) *
    FROM blamed
    WHERE (
        -- A subquery for each row keeps the planner on the index, however long the list is.
        SELECT true
        FROM suppression_list AS s
        WHERE s.channel IN (blamed.channel, 'all') AND s.address = blamed.key
          AND (s.reason = blamed.reason OR s.message_id = blamed.message_id)
        LIMIT 1
    ) IS NULL
    ORDER BY channel, key, reason, recorded_at DESC
)
SELECT message_id, channel, recipient_address, reason, source
FROM missed
WHERE NOT EXISTS (
    SELECT FROM audit_log AS a
    WHERE a.action = 'suppression.release' AND a.at > missed.recorded_at
      AND a.before ->> 'mark' = left(encode(sha256(convert_to(missed.key, 'UTF8')), 'hex'), 6)
      AND a.before ->> 'channel' IN (missed.channel, 'all')
)
ORDER BY reason = 'bounce_soft', message_id
LIMIT %(limit)s
