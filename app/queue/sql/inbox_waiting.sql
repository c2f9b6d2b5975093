-- Gives webhooks that nobody has processed yet, in the order they came, and locks them.
SELECT id, gateway, url, headers, body, tries
FROM webhook_inbox
WHERE processed_at IS NULL
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
