-- Finds the messages that facts are about, by our own tag or by the gateway's id, and locks them.
--
-- Locked in the order of their ids, as settling goes through them, so that neither waits for the other
-- for ever. One row for each message, with the numbers of the facts about it. What the message says is left
-- out: recording asks for nothing of it.
WITH fact AS MATERIALIZED (
    SELECT *
    FROM unnest(
        %(numbers)s::int[], %(uuids)s::uuid[], %(priorities)s::text[], %(gateways)s::text[],
        %(external_ids)s::text[]
    ) AS f (number, uuid, priority, gateway, external_id)
),
either_way AS (
    SELECT m.id, m.priority, fact.number
    FROM fact
    JOIN message_queue AS m ON m.uuid = fact.uuid AND m.priority = fact.priority
    WHERE fact.uuid IS NOT NULL
    UNION ALL
    SELECT m.id, m.priority, fact.number
    FROM fact
    JOIN message_queue AS m ON m.gateway = fact.gateway AND m.external_id = fact.external_id
    WHERE fact.uuid IS NULL AND fact.external_id IS NOT NULL
),
found AS MATERIALIZED (
    SELECT id, priority, array_agg(number ORDER BY number) AS numbers
    FROM either_way
    GROUP BY id, priority
)
SELECT
    found.numbers, m.status, m.last_error_class,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale,
    NULL::text AS body_text, NULL::text AS body_html, NULL::jsonb AS content_data, m.options, m.ip_pool,
    m.gateway, m.gateway_pinned, m.tried, m.scheduled_for, m.expires_at, m.tries, m.attempts,
    m.max_attempts, m.possible_duplicate
FROM found
JOIN message_queue AS m ON m.id = found.id AND m.priority = found.priority
ORDER BY m.id
FOR NO KEY UPDATE OF m
