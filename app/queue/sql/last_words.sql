-- Gives the last word by which each of these people refused a sender of ours or asked for it again.
--
-- The last is the one that was sent last, in whatever order they came; of two at once the refusal counts.
SELECT DISTINCT ON (k.channel, k.sender_address, k.recipient_address)
    k.id, k.channel, k.gateway, k.sender_address, k.recipient_address, k.meaning, k.message_id
FROM unnest(%(channels)s::text[], %(senders)s::text[], %(recipients)s::text[]) AS i (channel, sender, recipient)
JOIN inbound_messages AS k
    ON k.sender_address = i.sender AND k.recipient_address = i.recipient AND k.channel = i.channel
WHERE k.meaning IN ('stop', 'start')
ORDER BY k.channel, k.sender_address, k.recipient_address, k.received_at DESC, k.meaning = 'stop' DESC, k.id DESC
