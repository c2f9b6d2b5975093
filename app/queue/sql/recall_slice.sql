-- Brings forward what waits for something that is over or has grown, among the next messages of one flow.
--
-- What waits is known by its reason, or as a retry after a gateway's fault: it returns at a time of its own within so many seconds (0: at once), to
-- which a share of its present wait is added (0: none of it). Where the wait was ours, time that was added to
-- its own for it is taken back. A message that had tried a gateway which is there again goes there. Gives where the
-- look ended and how many were brought forward; no row where nothing is left to look at.
WITH looked AS MATERIALIZED (
    SELECT m.id, m.scheduled_for, m.last_error, m.last_error_class
    FROM message_queue AS m
    WHERE m.priority = %(priority)s AND m.status = 'pending'
      AND m.channel = %(channel)s AND m.client_id = %(client_id)s
      AND m.scheduled_for > now() AND m.scheduled_for < %(until)s::timestamptz
      AND (m.scheduled_for, m.id) > (%(at_time)s::timestamptz, %(at_id)s::bigint)
    ORDER BY m.scheduled_for, m.id
    LIMIT %(size)s
),
meant AS MATERIALIZED (
    SELECT m.id, sooner.share, sooner.gateway, sooner.ours, sooner.returns_at
    FROM message_queue AS m
    CROSS JOIN LATERAL (
        SELECT
            each.share,
            each.gateway,
            each.ours,
            now() + random() * make_interval(secs => each.seconds)
                + each.share * (m.scheduled_for - now()) AS returns_at
        FROM unnest(
            %(reasons)s::text[], %(seconds)s::float8[], %(shares)s::float8[], %(gateways)s::text[],
            %(ours)s::boolean[], %(retries)s::boolean[]
        ) AS each (reason, seconds, share, gateway, ours, retries)
        WHERE m.last_error LIKE each.reason OR (each.retries AND m.last_error_class = 'transient')
        ORDER BY returns_at, each.gateway
        LIMIT 1
    ) AS sooner
    WHERE m.priority = %(priority)s
      AND m.id = ANY (ARRAY(
          SELECT id
          FROM looked
          WHERE last_error LIKE ANY (%(reasons)s::text[])
              OR (last_error_class = 'transient' AND true = ANY (%(retries)s::boolean[]))
      ))
      AND m.status = 'pending'
    FOR UPDATE OF m SKIP LOCKED
),
recalled AS (
    UPDATE message_queue AS m
    SET
        scheduled_for = meant.returns_at,
        next_retry_at = CASE WHEN meant.share > 0 THEN meant.returns_at END,
        expires_at = m.expires_at
            + CASE
                WHEN meant.ours AND NOT %(on_clock)s THEN meant.returns_at - m.scheduled_for
                ELSE interval '0' END,
        last_error = CASE WHEN meant.share > 0 THEN m.last_error END,
        gateway = CASE
            WHEN meant.gateway = ANY (m.tried) AND NOT m.gateway_pinned THEN meant.gateway
            ELSE m.gateway END,
        tried = array_remove(m.tried, meant.gateway),
        updated_at = now()
    FROM meant
    WHERE m.priority = %(priority)s AND m.id = meant.id AND meant.returns_at < m.scheduled_for
    RETURNING m.id
)
SELECT scheduled_for, id, (SELECT count(*) FROM recalled) AS changed
FROM looked
ORDER BY scheduled_for DESC, id DESC
LIMIT 1
