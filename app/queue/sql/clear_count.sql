-- Counts the pending messages that a filter names, by priority and channel.
SELECT m.priority, m.channel, count(*) AS count
FROM message_queue AS m
LEFT JOIN message_batches AS b ON b.id = m.batch_id
WHERE m.status = 'pending' AND m.priority = ANY (%(priorities)s::text[]) AND m.id <= %(last)s
  AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
  AND (%(client_id)s::bigint IS NULL OR m.client_id = %(client_id)s)
  AND (%(batch_id)s::bigint IS NULL OR m.batch_id = %(batch_id)s)
  AND (%(gateway)s::text IS NULL OR m.gateway = %(gateway)s)
  AND (%(template)s::text IS NULL OR coalesce(m.template, b.template) = %(template)s)
  AND (%(source_type)s::text IS NULL OR m.source_type = %(source_type)s)
  AND (%(created_before)s::timestamptz IS NULL OR m.created_at < %(created_before)s)
  AND (%(created_after)s::timestamptz IS NULL OR m.created_at > %(created_after)s)
GROUP BY m.priority, m.channel
ORDER BY m.priority, m.channel
