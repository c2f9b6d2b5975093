-- Takes a bulk request's idempotency key as in flight and opens its batch, or tells who has the key.
--
-- To be read like accept.sql; `batch_id` is set where the upload may begin.
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
    SELECT k.request_hash, k.state, k.answer, k.lease_until < now() AS lapsed
    FROM asked
    JOIN idempotency_keys AS k USING (client_id, key)
    WHERE k.expires_at > now()
),
taken AS (
    INSERT INTO idempotency_keys AS k (client_id, key, request_hash, state, lease_until, expires_at)
    SELECT client_id, key, '', 'in_flight', now() + %(lease)s, now() + %(kept)s
    FROM asked
    WHERE key IS NOT NULL AND locked AND NOT EXISTS (SELECT FROM known)
    ON CONFLICT (client_id, key) DO UPDATE
    SET
        request_hash = '', state = 'in_flight', answer = NULL, answer_status = NULL,
        lease_until = excluded.lease_until, expires_at = excluded.expires_at
    WHERE k.expires_at <= now()
    RETURNING k.key
),
batch AS (
    INSERT INTO message_batches (
        client_id, community_id, priority, message_type, category, channel, source_type, source_id, subject,
        template, template_version, locale, body_text, body_html, shared_data, options, ip_pool, gateway,
        gateway_pinned, allow_duplicates, scheduled_for, expires_at, idempotency_key, lease_until)
    SELECT
        client_id, %(community_id)s, %(priority)s, %(message_type)s, %(category)s, %(channel)s,
        %(source_type)s, %(source_id)s, %(subject)s, %(template)s, %(template_version)s, %(locale)s,
        %(body_text)s, %(body_html)s, %(shared_data)s::jsonb, %(options)s::jsonb, %(ip_pool)s, %(gateway)s,
        %(gateway_pinned)s, %(allow_duplicates)s, %(scheduled_for)s, %(expires_at)s, key, now() + %(lease)s
    FROM asked
    WHERE key IS NULL OR EXISTS (SELECT FROM taken)
    RETURNING id, uuid
)
SELECT
    asked.locked,
    known.state AS known_state, known.request_hash AS known_hash, known.answer AS known_answer,
    known.lapsed,
    batch.id AS batch_id, batch.uuid
FROM asked
LEFT JOIN known ON true
LEFT JOIN batch ON true
