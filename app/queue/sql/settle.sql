-- Writes down what became of messages of one claim, and logs it, together or not at all.
--
-- Only the claim that holds a message may change its state, so a worker that lost its lease overwrites
-- nobody's result. Two exceptions, for the same try only: where a webhook was quicker than we were, the
-- gateway's id is added; and where the try was taken for unknown (and is held, or waits to be made
-- again), its acceptance is the proof.
-- What was sent and has segments or a cost is counted as spending; without a price under no currency.
-- The lease is renewed by the way, or the claim closed with its last message. Gives the ids it changed.
WITH result AS (
    SELECT *
    FROM unnest(
        %(ids)s::bigint[], %(try_numbers)s::int[], %(statuses)s::text[], %(gateways)s::text[],
        %(external_ids)s::text[], %(delays)s::float8[], %(extensions)s::float8[], %(rounds)s::int[],
        %(tried)s::text[], %(duplicates)s::boolean[], %(errors)s::text[], %(error_classes)s::text[]
    ) AS r (
        id, try_number, status, gateway, external_id, delay, extension, rounds, tried, duplicate, error,
        error_class)
),
changed AS (
    UPDATE message_queue AS m
    SET
        status = CASE WHEN m.status IN ('processing', 'held', 'pending') THEN r.status ELSE m.status END,
        locked_by = NULL,
        locked_at = NULL,
        gateway = coalesce(r.gateway, m.gateway),
        external_id = r.external_id,
        sent_at = CASE WHEN r.status = 'sent' THEN coalesce(m.sent_at, now()) ELSE m.sent_at END,
        scheduled_for = CASE WHEN r.status = 'pending' THEN now() + make_interval(secs => r.delay) ELSE m.scheduled_for END,
        next_retry_at = CASE WHEN r.status = 'pending' THEN now() + make_interval(secs => r.delay) END,
        expires_at = m.expires_at + make_interval(secs => r.extension),
        attempts = r.rounds,
        tried = string_to_array(r.tried, ','),
        possible_duplicate = r.duplicate,
        last_error = coalesce(r.error, m.last_error),
        last_error_class = coalesce(r.error_class, m.last_error_class),
        updated_at = now()
    FROM result AS r
    WHERE m.priority = %(priority)s AND m.id = ANY (%(ids)s::bigint[]) AND m.id = r.id
      AND (
          (m.status = 'processing' AND m.locked_by = %(claim)s)
          OR (r.status = 'sent' AND m.tries = r.try_number
              AND (m.external_id IS NULL OR m.external_id = r.external_id)
              AND (m.status IN ('held', 'delivered', 'bounced', 'failed')
                   OR (m.status = 'pending' AND m.sent_at IS NULL)))
      )
    RETURNING m.id, m.channel
),
logged AS (
    INSERT INTO delivery_events (
        message_id, priority, event_type, attempt, gateway, outcome, code, detail, external_id, source, data)
    SELECT
        e.id, %(priority)s, e.event_type, e.attempt, e.gateway, e.outcome, e.code, e.detail, e.external_id,
        %(source)s, e.data
    FROM unnest(
        %(event_ids)s::bigint[], %(event_types)s::text[], %(event_attempts)s::int[],
        %(event_gateways)s::text[], %(event_outcomes)s::text[], %(event_codes)s::text[],
        %(event_details)s::text[], %(event_external_ids)s::text[], %(event_data)s::jsonb[]
    ) AS e (id, event_type, attempt, gateway, outcome, code, detail, external_id, data)
    JOIN changed USING (id)
),
spent AS (
    INSERT INTO spending_deltas (day, channel, gateway, currency, messages, segments, amount)
    SELECT
        (now() AT TIME ZONE 'UTC')::date, changed.channel, e.gateway, coalesce(e.data->>'currency', ''),
        count(*), sum(coalesce((e.data->>'segments')::bigint, 0)),
        sum(coalesce((e.data->>'cost')::numeric, 0))
    FROM unnest(
        %(event_ids)s::bigint[], %(event_types)s::text[], %(event_gateways)s::text[],
        %(event_data)s::jsonb[]
    ) AS e (id, event_type, gateway, data)
    JOIN changed USING (id)
    WHERE e.event_type = 'sent' AND e.data ?| ARRAY['segments', 'cost']
    GROUP BY changed.channel, e.gateway, coalesce(e.data->>'currency', '')
),
renewed AS (
    UPDATE claims
    SET
        lease_until = now() + %(lease)s,
        state = CASE WHEN %(finished)s THEN 'closed' ELSE state END
    WHERE uuid = %(claim)s AND worker = %(worker)s
)
SELECT id FROM changed
