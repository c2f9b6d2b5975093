-- Gives, for each gateway that has called or may, its newest webhook and how long half of the newest took.
--
-- The gateways are found by hopping over the index from one to the next, not by reading the inbox.
WITH RECURSIVE called (gateway) AS (
    (SELECT gateway FROM webhook_inbox ORDER BY gateway LIMIT 1)
    UNION ALL
    SELECT (SELECT i.gateway FROM webhook_inbox AS i WHERE i.gateway > called.gateway ORDER BY i.gateway LIMIT 1)
    FROM called
    WHERE called.gateway IS NOT NULL
),
known AS (
    SELECT gateway FROM called WHERE gateway IS NOT NULL
    UNION
    SELECT gateway FROM unnest(%(gateways)s::text[]) AS given (gateway)
)
SELECT known.gateway, last.received_at AS last_at, lately.lag
FROM known
LEFT JOIN LATERAL (
    SELECT i.received_at FROM webhook_inbox AS i
    WHERE i.gateway = known.gateway
    ORDER BY i.id DESC
    LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY newest.processed_at - newest.received_at) AS lag
    FROM (
        SELECT i.processed_at, i.received_at FROM webhook_inbox AS i
        WHERE i.gateway = known.gateway
        ORDER BY i.id DESC
        LIMIT 100
    ) AS newest
    WHERE newest.processed_at IS NOT NULL
) AS lately ON true
ORDER BY known.gateway
