-- Keeps facts whose message is not known yet, or not settled yet.
INSERT INTO parked_events (gateway, message_uuid, external_id, inbox_id, fact)
SELECT *
FROM unnest(
    %(gateways)s::text[], %(uuids)s::uuid[], %(external_ids)s::text[], %(inbox_ids)s::bigint[],
    %(facts)s::jsonb[])
