-- Keeps the keys of facts that were not told before, and gives those; each fact counts once.
INSERT INTO event_keys (key)
SELECT key FROM unnest(%(keys)s::uuid[]) AS given (key) ORDER BY key
ON CONFLICT DO NOTHING
RETURNING key
