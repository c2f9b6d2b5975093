-- Keeps the keys of facts that were not told before, and gives those; each fact counts once.
INSERT INTO event_keys (key)
SELECT unnest(%(keys)s::uuid[])
ON CONFLICT DO NOTHING
RETURNING key
