-- Finds the latest canary of each gateway among those of slots from `since` on, by the index on sources.
SELECT DISTINCT ON (m.channel, m.gateway)
    m.channel, m.gateway, m.status, m.created_at, m.sent_at, m.delivered_at
FROM message_queue AS m
WHERE m.source_type = %(source)s AND m.source_id >= %(since)s
ORDER BY m.channel, m.gateway, m.id DESC
