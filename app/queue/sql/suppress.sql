-- Adds suppressions that something which happened calls for.
--
-- One that is there already for the same scope lasts as long as the longer of the two.
INSERT INTO suppression_list (
    channel, address, reason, source, community_id, category, sender, message_id, expires_at)
SELECT DISTINCT ON (channel, address, reason, community_id, category, sender)
    channel, address, reason, source, community_id, category, sender, message_id, now() + lasts
FROM unnest(
    %(channels)s::text[], %(addresses)s::text[], %(reasons)s::text[], %(sources)s::text[],
    %(communities)s::bigint[], %(categories)s::text[], %(senders)s::text[], %(messages)s::bigint[],
    %(durations)s::interval[]
) AS blame (channel, address, reason, source, community_id, category, sender, message_id, lasts)
ON CONFLICT ON CONSTRAINT suppression_list_scope_key DO UPDATE
SET expires_at = CASE
    WHEN suppression_list.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL
    ELSE greatest(suppression_list.expires_at, excluded.expires_at) END
