-- Adds suppressions, in the forms that are compared; gives one row for each that is new.
INSERT INTO suppression_list (channel, address, reason, source, community_id, category, sender, note, expires_at)
SELECT DISTINCT ON (channel, address, reason, community_id, category, sender)
    channel, address, reason, %(source)s, community_id, category, sender, note, expires_at
FROM unnest(
    %(channels)s::text[], %(addresses)s::text[], %(reasons)s::text[], %(communities)s::bigint[],
    %(categories)s::text[], %(senders)s::text[], %(notes)s::text[], %(expiries)s::timestamptz[]
) AS given (channel, address, reason, community_id, category, sender, note, expires_at)
ORDER BY channel, address, reason, community_id, category, sender, expires_at DESC NULLS FIRST
ON CONFLICT ON CONSTRAINT suppression_list_scope_key DO UPDATE
SET expires_at = CASE
    WHEN suppression_list.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
    ELSE greatest(suppression_list.expires_at, excluded.expires_at) END
RETURNING *, (xmax = 0) AS is_new
