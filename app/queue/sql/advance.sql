-- Moves messages to what gateways told about them; each one from the state it was found in, or not at all.
UPDATE message_queue AS m
SET
    status = r.status,
    locked_by = NULL,
    locked_at = NULL,
    sent_at = CASE WHEN r.status IN ('sent', 'delivered') THEN coalesce(m.sent_at, r.at) ELSE m.sent_at END,
    delivered_at = CASE WHEN r.status = 'delivered' THEN coalesce(m.delivered_at, r.at) ELSE m.delivered_at END,
    external_id = CASE WHEN r.status = 'pending' THEN NULL ELSE coalesce(m.external_id, r.external_id) END,
    gateway = coalesce(r.gateway, m.gateway),
    scheduled_for = CASE WHEN r.status = 'pending' THEN now() + make_interval(secs => r.delay) ELSE m.scheduled_for END,
    next_retry_at = CASE WHEN r.status = 'pending' THEN now() + make_interval(secs => r.delay) END,
    expires_at = m.expires_at + make_interval(secs => r.extension),
    attempts = r.rounds,
    tried = string_to_array(r.tried, ','),
    possible_duplicate = r.duplicate,
    last_error = coalesce(r.error, m.last_error),
    last_error_class = coalesce(r.error_class, m.last_error_class),
    updated_at = now()
FROM unnest(
    %(ids)s::bigint[], %(priorities)s::text[], %(found)s::text[], %(statuses)s::text[],
    %(times)s::timestamptz[], %(external_ids)s::text[], %(gateways)s::text[], %(delays)s::float8[],
    %(extensions)s::float8[], %(rounds)s::int[], %(tried)s::text[], %(duplicates)s::boolean[],
    %(errors)s::text[], %(error_classes)s::text[]
) AS r (
    id, priority, found, status, at, external_id, gateway, delay, extension, rounds, tried, duplicate, error,
    error_class)
WHERE m.id = r.id AND m.priority = r.priority AND m.status = r.found
