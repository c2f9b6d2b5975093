-- Lets nobody else act on what these people send us until we are done; locked in one order by all.
SELECT pg_advisory_xact_lock(key)
FROM (
    SELECT DISTINCT hashtextextended('inbound:' || channel || ':' || sender, 0) AS key
    FROM unnest(%(channels)s::text[], %(senders)s::text[]) AS i (channel, sender)
    ORDER BY key
) AS ordered
