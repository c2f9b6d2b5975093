-- Notes what happened under names in this hour; folded into sums later, so that nobody waits for a row.
INSERT INTO reputation_deltas (kind, key, hour, sent, bounced, complained)
SELECT n.kind, n.key, date_trunc('hour', now()), n.sent, n.bounced, n.complained
FROM unnest(
    %(kinds)s::text[], %(keys)s::text[], %(sent)s::bigint[], %(bounced)s::bigint[], %(complained)s::bigint[]
) AS n (kind, key, sent, bounced, complained)
