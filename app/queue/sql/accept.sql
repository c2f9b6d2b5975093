-- Accepts one message: idempotency key, suppression check, message, event and flow, all or nothing.
--
-- Gives one row. `locked` is false where another request with the key is at it now. `known_state` is set
-- where the key was used before: nothing is written then, and the first answer comes back. `uuid` is set
-- where the message was written. With none of these the key was taken between our snapshot and our lock:
-- asking once more shows it. Without a key (null) every call is a new message.
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
blocked AS MATERIALIZED (
    SELECT s.reason
    FROM suppressions_of(
        %(channel)s, %(suppression_key)s, %(community_id)s::bigint, %(category)s::text, %(sender)s::text,
        %(marketing)s, %(reasons)s::text[]) AS s
    ORDER BY s.id
    LIMIT 1
),
wanted AS MATERIALIZED (
    SELECT
        nextval('message_queue_id_seq') AS id,
        new_uuid() AS uuid,
        CASE WHEN blocked.reason IS NULL THEN 'pending' ELSE 'suppressed' END AS status,
        blocked.reason,
        greatest(%(scheduled_for)s::timestamptz, now()) AS scheduled_for
    FROM asked
    LEFT JOIN blocked ON true
    WHERE asked.locked AND NOT EXISTS (SELECT FROM known)
),
taken AS (
    INSERT INTO idempotency_keys AS k (client_id, key, request_hash, state, answer, expires_at)
    SELECT
        asked.client_id, asked.key, %(request_hash)s, 'done',
        jsonb_build_object(
            'uuid', wanted.uuid, 'status', wanted.status, 'priority', %(priority)s::text,
            'gateway', %(gateway)s::text, 'reason', wanted.reason),
        now() + %(kept)s
    FROM asked
    CROSS JOIN wanted
    WHERE asked.key IS NOT NULL
    ON CONFLICT (client_id, key) DO UPDATE
    SET
        request_hash = excluded.request_hash, state = excluded.state, answer = excluded.answer,
        answer_status = NULL, lease_until = NULL, expires_at = excluded.expires_at
    WHERE k.expires_at <= now()
    RETURNING k.key
),
accepted AS MATERIALIZED (
    SELECT wanted.*
    FROM asked
    CROSS JOIN wanted
    WHERE asked.key IS NULL OR EXISTS (SELECT FROM taken)
),
message AS (
    INSERT INTO message_queue (
        id, uuid, priority, message_type, category, client_id, community_id, source_type, source_id, channel,
        recipient_type, recipient_id, recipient_address, subject, template, template_version, locale,
        body_text, body_html, content_data, options, ip_pool, gateway, gateway_pinned, status,
        scheduled_for, expires_at, max_attempts, last_error)
    SELECT
        id, uuid, %(priority)s, %(message_type)s, %(category)s, %(client_id)s, %(community_id)s,
        %(source_type)s, %(source_id)s, %(channel)s, %(recipient_type)s, %(recipient_id)s,
        %(recipient_address)s, %(subject)s, %(template)s, %(template_version)s, %(locale)s, %(body_text)s,
        %(body_html)s, %(content_data)s::jsonb, %(options)s::jsonb, %(ip_pool)s, %(gateway)s,
        %(gateway_pinned)s, status, scheduled_for,
        coalesce(%(expires_at)s::timestamptz, scheduled_for + %(max_age)s), %(max_attempts)s,
        'the recipient is suppressed: ' || reason
    FROM accepted
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT
        id, %(priority)s, CASE WHEN reason IS NULL THEN 'queued' ELSE 'suppressed' END, 'api',
        CASE WHEN reason IS NOT NULL THEN jsonb_build_object('reason', reason) END
    FROM accepted
),
flow AS (
    INSERT INTO lane_flows (priority, channel, client_id)
    SELECT %(priority)s, %(channel)s, %(client_id)s
    FROM accepted
    WHERE status = 'pending'
    ON CONFLICT DO NOTHING
)
SELECT
    asked.locked,
    known.state AS known_state, known.request_hash AS known_hash, known.answer AS known_answer,
    accepted.id, accepted.uuid, accepted.status, accepted.reason
FROM asked
LEFT JOIN known ON true
LEFT JOIN accepted ON true
