-- Makes due again what was put back for stops that have ended, among the next messages of one flow.
--
-- Each returns at a time of its own within the seconds of its stop's growth (0: at once), and time that was
-- added to its own, because it would wait, is taken back. Gives where the look ended and how many
-- returned; no row where nothing is left to look at.
WITH looked AS MATERIALIZED (
    SELECT m.id, m.scheduled_for, m.last_error
    FROM message_queue AS m
    WHERE m.priority = %(priority)s AND m.status = 'pending'
      AND m.channel = %(channel)s AND m.client_id = %(client_id)s
      AND m.scheduled_for > now() AND m.scheduled_for < %(until)s
      AND (m.scheduled_for, m.id) > (%(at_time)s::timestamptz, %(at_id)s::bigint)
    ORDER BY m.scheduled_for, m.id
    LIMIT %(size)s
),
meant AS MATERIALIZED (
    SELECT m.id, now() + random() * make_interval(secs => stop.seconds) AS returns_at
    FROM message_queue AS m
    JOIN unnest(%(reasons)s::text[], %(seconds)s::float8[]) AS stop (reason, seconds)
        ON stop.reason = m.last_error
    WHERE m.priority = %(priority)s
      AND m.id = ANY (ARRAY(SELECT id FROM looked WHERE last_error = ANY (%(reasons)s::text[])))
      AND m.status = 'pending'
    FOR UPDATE OF m SKIP LOCKED
),
recalled AS (
    UPDATE message_queue AS m
    SET
        scheduled_for = meant.returns_at,
        next_retry_at = NULL,
        expires_at = m.expires_at
            + CASE WHEN %(on_clock)s THEN interval '0' ELSE meant.returns_at - m.scheduled_for END,
        last_error = NULL,
        updated_at = now()
    FROM meant
    WHERE m.priority = %(priority)s AND m.id = meant.id AND meant.returns_at < m.scheduled_for
    RETURNING m.id
)
SELECT scheduled_for, id, (SELECT count(*) FROM recalled) AS changed
FROM looked
ORDER BY scheduled_for DESC, id DESC
LIMIT 1
