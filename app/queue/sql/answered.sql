-- Finds the message of ours that each of these answers: the one it names, else the last that its sender got
-- from that number or service of ours, not longer than `within` before. Clocks may differ by a minute.
SELECT i.number, m.id, m.uuid, m.priority, m.client_id, m.tries, m.confirm_digit
FROM unnest(
    %(numbers)s::int[], %(channels)s::text[], %(senders)s::text[], %(recipients)s::text[],
    %(times)s::timestamptz[], %(uuids)s::uuid[], %(priorities)s::text[]
) AS i (number, channel, sender, recipient, received_at, uuid, priority)
CROSS JOIN LATERAL (
    (
        SELECT
            m.id, m.uuid, m.priority, m.client_id, m.tries,
            coalesce(m.options, b.options) #>> '{voice,confirm_digit}' AS confirm_digit
        FROM message_queue AS m
        LEFT JOIN message_batches AS b ON b.id = m.batch_id
        WHERE i.uuid IS NOT NULL AND m.uuid = i.uuid AND m.priority = i.priority
    )
    UNION ALL
    (
        SELECT m.id, m.uuid, m.priority, m.client_id, m.tries, NULL
        FROM message_queue AS m
        LEFT JOIN message_batches AS b ON b.id = m.batch_id
        LEFT JOIN senders AS s
            ON s.channel = m.channel AND s.slug = coalesce(m.options ->> 'sender', b.options ->> 'sender')
        WHERE i.uuid IS NULL AND lower(m.recipient_address) = lower(i.sender) AND m.channel = i.channel
          AND m.sent_at BETWEEN i.received_at - %(within)s AND i.received_at + interval '1 minute'
          AND (
              s.address = i.recipient
              OR coalesce(m.options #>> '{sms,messaging_service}', b.options #>> '{sms,messaging_service}')
                 = i.recipient)
        ORDER BY m.sent_at DESC
        LIMIT 1
    )
) AS m
