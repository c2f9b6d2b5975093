-- Gives webhooks after a given one that nobody has processed yet, in the order they came; locks them.
SELECT id, gateway, url, headers, body, tries, received_at
FROM webhook_inbox
WHERE processed_at IS NULL AND id > %(after)s
ORDER BY id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
