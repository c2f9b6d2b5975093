-- Gives the messages that a claim still holds, as its worker last knew them.
SELECT
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate
FROM message_queue AS m
WHERE m.priority = %(priority)s AND m.status = 'processing' AND m.locked_by = %(claim)s
