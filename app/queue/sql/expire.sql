-- Expires pending messages of a lane on the clock whose time is over, and logs it, among the next few due.
--
-- Every flow is read on from where the last look ended, about `size` rows in all, so that a look costs the
-- same beside ten thousand and ten million due rows. Messages for later are not looked at: none is
-- due after its time is over. Rows that a worker is claiming at this moment are left to it. Gives a row
-- for each flow that has due work: where the look ended, whether there was its full share, and how many
-- expired in the whole lane.
WITH flow AS (
    SELECT
        f.channel,
        f.client_id,
        coalesce(p.scheduled_for, '-infinity') AS after_time,
        coalesce(p.id, 0) AS after_id
    FROM lane_flows AS f
    LEFT JOIN unnest(
        %(channels_at)s::text[], %(clients_at)s::bigint[], %(times_at)s::timestamptz[], %(ids_at)s::bigint[]
    ) AS p (channel, client_id, scheduled_for, id) USING (channel, client_id)
    WHERE f.priority = %(priority)s
),
share AS MATERIALIZED (
    SELECT flow.*, greatest(%(size)s / count(*) OVER (), 1) AS quota
    FROM flow
    CROSS JOIN LATERAL (
        SELECT m.id
        FROM message_queue AS m
        WHERE m.priority = %(priority)s AND m.status = 'pending'
          AND m.channel = flow.channel AND m.client_id = flow.client_id
          AND m.scheduled_for <= now()
          AND (m.scheduled_for, m.id) > (flow.after_time, flow.after_id)
        ORDER BY m.scheduled_for, m.id
        LIMIT 1
    ) AS first_due
),
looked AS MATERIALIZED (
    SELECT share.channel, share.client_id, share.quota, due.*
    FROM share
    CROSS JOIN LATERAL (
        SELECT m.id, m.scheduled_for, m.expires_at <= now() AS late
        FROM message_queue AS m
        WHERE m.priority = %(priority)s AND m.status = 'pending'
          AND m.channel = share.channel AND m.client_id = share.client_id
          AND m.scheduled_for <= now()
          AND (m.scheduled_for, m.id) > (share.after_time, share.after_id)
        ORDER BY m.scheduled_for, m.id
        LIMIT share.quota
    ) AS due
),
late AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE priority = %(priority)s AND id = ANY (ARRAY(SELECT id FROM looked WHERE late))
      AND status = 'pending' AND expires_at <= now()
    FOR UPDATE SKIP LOCKED
),
changed AS (
    UPDATE message_queue AS m
    SET status = 'expired', next_retry_at = NULL, updated_at = now()
    WHERE m.priority = %(priority)s AND m.id = ANY (ARRAY(SELECT id FROM late))
    RETURNING m.id
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source)
    SELECT id, %(priority)s, 'expired', 'worker' FROM changed
)
SELECT DISTINCT ON (channel, client_id)
    channel,
    client_id,
    scheduled_for,
    id,
    count(*) OVER (PARTITION BY channel, client_id) >= quota AS is_full,
    (SELECT count(*) FROM changed) AS expired
FROM looked
ORDER BY channel, client_id, scheduled_for DESC, id DESC
