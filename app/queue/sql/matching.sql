-- Finds the messages that facts are about, by our own tag or by the gateway's id, and locks them.
--
-- Locked in the order of their ids, as settling goes through them, so that neither waits for the other
-- for ever. One row for each fact that has a message.
WITH fact AS (
    SELECT *
    FROM unnest(
        %(numbers)s::int[], %(uuids)s::uuid[], %(priorities)s::text[], %(gateways)s::text[],
        %(external_ids)s::text[]
    ) AS f (number, uuid, priority, gateway, external_id)
),
found AS MATERIALIZED (
    SELECT fact.number, m.id, m.priority
    FROM fact
    JOIN message_queue AS m ON m.uuid = fact.uuid AND m.priority = fact.priority
    WHERE fact.uuid IS NOT NULL
    UNION ALL
    SELECT fact.number, m.id, m.priority
    FROM fact
    JOIN message_queue AS m ON m.gateway = fact.gateway AND m.external_id = fact.external_id
    WHERE fact.uuid IS NULL AND fact.external_id IS NOT NULL
),
locked AS MATERIALIZED (
    SELECT m.*
    FROM message_queue AS m
    WHERE m.priority IN (SELECT priority FROM found) AND m.id = ANY (ARRAY(SELECT id FROM found))
    ORDER BY m.id
    FOR NO KEY UPDATE
)
SELECT
    found.number, m.status, m.last_error_class,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate
FROM found
JOIN locked AS m USING (id, priority)
ORDER BY found.number
