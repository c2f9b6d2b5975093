-- Gives held messages about which their gateway can be asked (again) now, the oldest first; at most `limit`.
SELECT
    m.updated_at AS held_at,
    coalesce(l.tries, 0) AS asked,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate
FROM message_queue AS m
LEFT JOIN lookups AS l ON l.message_id = m.id AND l.priority = m.priority
WHERE m.status = 'held' AND m.gateway = ANY (%(gateways)s::text[])
  AND m.updated_at <= now() - %(settled)s
  AND (l.next_at IS NULL OR l.next_at <= now() OR l.asked_at < m.updated_at)
ORDER BY m.id
LIMIT %(limit)s
