-- Keeps the keys of facts that were not told before, and gives the places of those, the first being 1.
--
-- Each key counts once, also where it comes twice at once. They are added in one order by everybody, so
-- that two who are told the same do not wait for each other for ever.
WITH given AS MATERIALIZED (
    SELECT key, min(place) AS place
    FROM unnest(%(keys)s::uuid[]) WITH ORDINALITY AS k (key, place)
    GROUP BY key
),
added AS (
    INSERT INTO event_keys (key)
    SELECT key FROM given ORDER BY key
    ON CONFLICT DO NOTHING
    RETURNING key
)
SELECT place FROM given JOIN added USING (key) ORDER BY place
