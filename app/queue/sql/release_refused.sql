-- Lets a sender of ours reach people again who had refused it, and nobody else; gives what it removed.
DELETE FROM suppression_list AS s
USING unnest(%(channels)s::text[], %(addresses)s::text[], %(senders)s::text[]) AS i (channel, address, sender)
WHERE s.channel = i.channel AND s.address = i.address AND s.sender = i.sender
  AND s.reason = 'unsubscribe' AND s.community_id IS NULL AND s.category IS NULL
RETURNING s.id, s.channel, s.address, s.sender, s.source
