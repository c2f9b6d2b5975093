-- Writes down what the windows of limits hold, and when all of that will have left them.
UPDATE rate_limits AS r
SET
    current_hour_count = c.in_hour,
    current_day_count = c.in_day,
    hour_reset_at = CASE WHEN c.in_hour > 0 THEN now() + interval '1 hour' END,
    day_reset_at = CASE WHEN c.in_day > 0 THEN now() + interval '1 day' END
FROM unnest(%(types)s::text[], %(keys)s::text[], %(in_hours)s::bigint[], %(in_days)s::bigint[])
    AS c (limit_type, limit_key, in_hour, in_day)
WHERE r.limit_type = c.limit_type AND r.limit_key = c.limit_key
