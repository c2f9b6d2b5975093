-- Tells which of these messages may not be sent to their recipients, and for what reason.
SELECT r.id, s.reason
FROM unnest(
    %(ids)s::bigint[], %(channels)s::text[], %(keys)s::text[], %(communities)s::bigint[],
    %(categories)s::text[], %(senders)s::text[], %(marketing)s::boolean[]
) AS r (id, channel, key, community, category, sender, marketing)
CROSS JOIN LATERAL suppressions_of(
    r.channel, r.key, r.community, r.category, r.sender, r.marketing, %(reasons)s::text[]) AS s
