-- Keeps what the windows of limits hold, and forgets those of limits that are gone.
WITH held AS (
    SELECT h.limit_type, h.limit_key, h."window", h.times::bigint[] AS times, h.counts::bigint[] AS counts
    FROM unnest(
        %(types)s::text[], %(keys)s::text[], %(windows)s::text[], %(times)s::text[], %(counts)s::text[]
    ) AS h (limit_type, limit_key, "window", times, counts)
),
gone AS (
    DELETE FROM rate_windows AS w
    WHERE NOT EXISTS (
        SELECT FROM held AS h
        WHERE h.limit_type = w.limit_type AND h.limit_key = w.limit_key AND h."window" = w."window")
)
INSERT INTO rate_windows (limit_type, limit_key, "window", times, counts, saved_at)
SELECT limit_type, limit_key, "window", times, counts, %(as_of)s FROM held
ON CONFLICT (limit_type, limit_key, "window") DO UPDATE
SET times = excluded.times, counts = excluded.counts, saved_at = excluded.saved_at
