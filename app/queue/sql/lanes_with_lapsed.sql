-- Tells which of these lanes have a claim whose lease is over.
SELECT lane.priority
FROM unnest(%(priorities)s::text[]) WITH ORDINALITY AS lane (priority, place)
WHERE EXISTS (
    SELECT FROM claims AS c
    WHERE c.priority = lane.priority AND c.state <> 'closed' AND c.lease_until < now()
)
ORDER BY lane.place
