-- Cancels those of a lane's next pending messages that a filter names, logs it, and keeps which they were.
--
-- Only what is pending at this moment: rows that a worker is claiming are left to it. Messages younger than
-- the one numbered `last` are left alone, whatever the filter says. Gives one row, where the look ended and how
-- many were cancelled, or none where nothing is left to look at.
WITH looked AS MATERIALIZED (
    SELECT
        m.channel, m.client_id, m.scheduled_for, m.id,
        m.id <= %(last)s
        AND (%(channel)s::text IS NULL OR m.channel = %(channel)s)
        AND (%(client_id)s::bigint IS NULL OR m.client_id = %(client_id)s)
        AND (%(batch_id)s::bigint IS NULL OR m.batch_id = %(batch_id)s)
        AND (%(gateway)s::text IS NULL OR m.gateway = %(gateway)s)
        AND (%(template)s::text IS NULL OR coalesce(m.template, b.template) = %(template)s)
        AND (%(source_type)s::text IS NULL OR m.source_type = %(source_type)s)
        AND (%(created_before)s::timestamptz IS NULL OR m.created_at < %(created_before)s)
        AND (%(created_after)s::timestamptz IS NULL OR m.created_at > %(created_after)s) AS is_meant
    FROM message_queue AS m
    LEFT JOIN message_batches AS b ON b.id = m.batch_id
    WHERE m.priority = %(priority)s AND m.status = 'pending'
      AND (m.channel, m.client_id, m.scheduled_for, m.id)
          > (%(at_channel)s, %(at_client)s::bigint, %(at_time)s::timestamptz, %(at_id)s::bigint)
    ORDER BY m.channel, m.client_id, m.scheduled_for, m.id
    LIMIT %(size)s
),
open AS MATERIALIZED (
    SELECT id
    FROM message_queue
    WHERE priority = %(priority)s AND id = ANY (ARRAY(SELECT id FROM looked WHERE is_meant))
      AND status = 'pending'
    FOR UPDATE SKIP LOCKED
),
cancelled AS (
    UPDATE message_queue
    SET status = 'cancelled', updated_at = now()
    WHERE priority = %(priority)s AND id = ANY (ARRAY(SELECT id FROM open))
    RETURNING id
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT id, %(priority)s, 'cancelled', %(source)s, jsonb_build_object('control', %(control)s::bigint)
    FROM cancelled
),
kept AS (
    INSERT INTO control_messages (control_id, priority, message_id)
    SELECT %(control)s, %(priority)s, id FROM cancelled
    ON CONFLICT (control_id, priority, message_id) DO UPDATE SET cancelled_at = now()
)
SELECT channel, client_id, scheduled_for, id, (SELECT count(*) FROM cancelled) AS changed
FROM looked
ORDER BY channel DESC, client_id DESC, scheduled_for DESC, id DESC
LIMIT 1
