-- Adds lines to the event log.
INSERT INTO delivery_events (
    message_id, priority, event_type, attempt, gateway, outcome, code, detail, external_id, source,
    external_event_id, inbox_id, data, occurred_at)
SELECT *
FROM unnest(
    %(messages)s::bigint[], %(priorities)s::text[], %(event_types)s::text[], %(attempts)s::int[],
    %(gateways)s::text[], %(outcomes)s::text[], %(codes)s::text[], %(details)s::text[],
    %(external_ids)s::text[], %(sources)s::text[], %(external_event_ids)s::text[], %(inbox_ids)s::bigint[],
    %(data)s::jsonb[], %(times)s::timestamptz[])
