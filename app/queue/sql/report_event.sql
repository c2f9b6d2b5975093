-- Adds an event that a caller reports to a message of its own, once for each idempotency key.
--
-- Gives one row, to be read like that of accept.sql; `event_id` is set where the event was written, and
-- `message_id` is null where there is no such message of this caller.
WITH asked AS MATERIALIZED (
    SELECT
        %(client_id)s::bigint AS client_id,
        %(key)s::text AS key,
        CASE
            WHEN %(key)s::text IS NULL THEN true
            ELSE pg_try_advisory_xact_lock(hashtextextended(%(client_id)s || ':' || %(key)s, 0))
        END AS locked
),
known AS MATERIALIZED (
    SELECT k.request_hash, k.state, k.answer
    FROM asked
    JOIN idempotency_keys AS k USING (client_id, key)
    WHERE k.expires_at > now()
),
message AS MATERIALIZED (
    SELECT id, priority
    FROM message_queue
    WHERE uuid = %(uuid)s AND (%(all)s OR client_id = %(client_id)s)
),
taken AS (
    INSERT INTO idempotency_keys AS k (client_id, key, request_hash, state, answer, expires_at)
    SELECT
        asked.client_id, asked.key, %(request_hash)s, 'done',
        jsonb_build_object('uuid', %(uuid)s::uuid, 'event_type', %(event_type)s::text), now() + %(kept)s
    FROM asked
    CROSS JOIN message
    WHERE asked.key IS NOT NULL AND asked.locked AND NOT EXISTS (SELECT FROM known)
    ON CONFLICT (client_id, key) DO UPDATE
    SET
        request_hash = excluded.request_hash, state = excluded.state, answer = excluded.answer,
        answer_status = NULL, lease_until = NULL, expires_at = excluded.expires_at
    WHERE k.expires_at <= now()
    RETURNING k.key
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT message.id, message.priority, %(event_type)s, 'api', %(data)s::jsonb
    FROM asked
    CROSS JOIN message
    WHERE asked.key IS NULL OR EXISTS (SELECT FROM taken)
    RETURNING id
)
SELECT
    asked.locked,
    known.state AS known_state, known.request_hash AS known_hash, known.answer AS known_answer,
    message.id AS message_id, event.id AS event_id
FROM asked
LEFT JOIN known ON true
LEFT JOIN message ON true
LEFT JOIN event ON true
