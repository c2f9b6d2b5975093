-- Takes devices out of use that a gateway says are gone, unless they were seen since it knew that.
UPDATE device_tokens AS d
SET deactivated_at = now(), deactivated_why = 'gateway'
FROM (
    SELECT token, max(coalesce(as_of, now())) AS as_of
    FROM unnest(%(tokens)s::text[], %(times)s::timestamptz[]) AS g (token, as_of)
    GROUP BY token
) AS gone
WHERE d.token = gone.token AND d.deactivated_at IS NULL AND d.last_seen_at <= gone.as_of
RETURNING d.id
