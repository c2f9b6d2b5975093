-- Puts dead letters back into the queue, where they still are what they were found as, and logs it.
--
-- The row stays the same: it is due at the time given for it, lives from then as long as its lane's
-- messages do, and has all its rounds before it. Where nobody knows whether an earlier try arrived it is
-- marked as perhaps a second time. Locked in the order of the ids, as everybody does. Gives the ids and
-- lanes of those that were put back.
WITH wanted AS MATERIALIZED (
    SELECT *
    FROM unnest(
        %(ids)s::bigint[], %(priorities)s::text[], %(found)s::text[], %(times)s::timestamptz[],
        %(ages)s::interval[]
    ) AS w (id, priority, found, due_at, max_age)
),
dead AS MATERIALIZED (
    SELECT m.id
    FROM message_queue AS m
    JOIN wanted AS w ON w.id = m.id AND w.priority = m.priority AND w.found = m.status
    WHERE m.id = ANY (%(ids)s::bigint[]) AND m.status IN ('failed', 'expired', 'cancelled', 'held')
    ORDER BY m.id
    FOR NO KEY UPDATE OF m
),
replayed AS (
    UPDATE message_queue AS m
    SET
        status = 'pending',
        scheduled_for = w.due_at,
        next_retry_at = w.due_at,
        expires_at = w.due_at + w.max_age,
        gateway = coalesce(%(gateway)s::text, m.gateway),
        gateway_pinned = m.gateway_pinned AND %(gateway)s::text IS NULL,
        external_id = NULL,
        sent_at = NULL,
        delivered_at = NULL,
        attempts = 0,
        tried = '{}',
        possible_duplicate = m.possible_duplicate OR m.status = 'held'
            OR coalesce(m.last_error_class = 'unknown', false),
        updated_at = now()
    FROM wanted AS w
    WHERE m.id = ANY (ARRAY(SELECT id FROM dead)) AND m.id = w.id AND m.priority = w.priority
      AND m.status = w.found
    RETURNING m.id, m.priority, m.channel, m.client_id, m.tries, m.gateway, m.possible_duplicate, w.found
),
flow AS (
    INSERT INTO lane_flows (priority, channel, client_id)
    SELECT DISTINCT priority, channel, client_id FROM replayed
    ON CONFLICT DO NOTHING
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, attempt, gateway, source, data)
    SELECT
        id, priority, 'replayed', tries, gateway, %(source)s,
        jsonb_build_object('from', found)
            || CASE WHEN possible_duplicate THEN '{"possible_duplicate": true}'::jsonb ELSE '{}' END
            || CASE
                WHEN %(replay)s::text IS NULL THEN '{}'::jsonb
                ELSE jsonb_build_object('replay', %(replay)s::text) END
    FROM replayed
)
SELECT id, priority FROM replayed
