-- Tells which of these addresses have bounced softly, and for good, often enough to be left alone.
--
-- One bounce a message counts, within the window and since the last delivery. How the address is
-- capitalized makes no difference.
SELECT a.channel, a.address
FROM unnest(%(channels)s::text[], %(addresses)s::text[]) AS a (channel, address)
CROSS JOIN LATERAL (
    SELECT max(m.delivered_at) AS at
    FROM message_queue AS m
    WHERE lower(m.recipient_address) = lower(a.address) AND m.channel = a.channel AND m.status = 'delivered'
) AS delivered
CROSS JOIN LATERAL (
    SELECT count(*) AS bounces
    FROM message_queue AS m
    WHERE lower(m.recipient_address) = lower(a.address) AND m.channel = a.channel
      AND m.status IN ('bounced', 'failed') AND m.last_error_class = 'unreachable'
      AND m.updated_at > greatest(now() - %(window)s, delivered.at)
) AS soft
WHERE soft.bounces >= %(threshold)s
