-- Tells the time, and lists the stops in force, those to come, and those after which sending still grows.
--
-- There is always a row; without any stop it has the time alone.
SELECT now() AS at, stop.*
FROM (SELECT) AS always
LEFT JOIN (
    SELECT
        id, scope, scope_key, includes_p0, from_at,
        least(lifted_at, until_at) AS ends_at,
        least(lifted_at, until_at) + ramp AS ramp_until
    FROM controls
    WHERE procedure = 'stop'
      AND (lifted_at IS NULL OR lifted_at + coalesce(ramp, interval '0') > now())
      AND (until_at IS NULL OR least(lifted_at, until_at) + coalesce(ramp, interval '0') > now())
      AND (lifted_at IS NULL OR lifted_at > from_at)
) AS stop ON true
ORDER BY id
