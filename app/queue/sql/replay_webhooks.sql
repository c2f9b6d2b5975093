-- Puts webhooks that could not be processed back among those that wait, oldest first; gives their ids.
--
-- Those that were erased meanwhile say nothing any more. What one of them told already counts no second time.
WITH chosen AS MATERIALIZED (
    SELECT id FROM webhook_inbox
    WHERE processed_at IS NOT NULL AND result LIKE 'failed%%' AND erased_at IS NULL
        AND gateway = ANY (%(gateways)s::text[])
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE webhook_inbox AS i
SET processed_at = NULL, tries = 0, result = NULL
FROM chosen
WHERE i.id = chosen.id
RETURNING i.id
