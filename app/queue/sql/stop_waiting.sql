-- Counts what waits because of a stop: due messages, and those put back for it, among the first of each flow.
SELECT count(*) AS waiting
FROM lane_flows AS f
CROSS JOIN LATERAL (
    SELECT m.gateway, m.template, m.batch_id, m.last_error, m.scheduled_for
    FROM message_queue AS m
    WHERE m.priority = f.priority AND m.status = 'pending'
      AND m.channel = f.channel AND m.client_id = f.client_id
    ORDER BY m.scheduled_for, m.id
    LIMIT %(counted)s
) AS few
LEFT JOIN message_batches AS b ON b.id = few.batch_id
WHERE (%(includes_p0)s OR f.priority <> 'P0')
  AND (few.scheduled_for <= now() OR few.last_error = %(reason)s)
  AND CASE %(scope)s
      WHEN 'all' THEN true
      WHEN 'channel' THEN f.channel = %(key)s
      WHEN 'priority' THEN f.priority = %(key)s
      WHEN 'client' THEN f.client_id::text = %(key)s
      WHEN 'gateway' THEN few.gateway = %(key)s
      WHEN 'template' THEN coalesce(few.template, b.template) = %(key)s
      WHEN 'batch' THEN few.batch_id::text = %(key)s
      ELSE false END
