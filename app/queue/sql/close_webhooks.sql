-- Marks webhooks as processed, with what became of them all together.
UPDATE webhook_inbox
SET processed_at = now(), tries = tries + 1, result = %(result)s
WHERE id = ANY(%(ids)s::bigint[])
