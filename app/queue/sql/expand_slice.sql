-- Makes messages of a batch's next staged lines, with their events, and counts them, all or nothing.
--
-- The batch's row is locked first, and only where it still stands at `at_line`: of two expanders at once
-- the later one finds nothing to do here. Suppressed recipients become messages too. Gives one row with
-- the new position, or none where there was nothing to do.
WITH batch AS MATERIALIZED (
    SELECT
        b.*,
        least(b.expanded_line + %(size)s, b.last_line) AS to_line,
        greatest(b.scheduled_for, now()) AS due_at
    FROM message_batches AS b
    WHERE b.id = %(batch)s AND b.expanded_line = %(at_line)s AND b.state IN ('accepted', 'expanding')
    FOR UPDATE
),
line AS MATERIALIZED (
    SELECT
        s.line, s.address, s.recipient_type, s.recipient_id, s.data,
        (
            SELECT suppressed.reason
            FROM suppressions_of(
                batch.channel, k.key, batch.community_id, batch.category, %(sender)s::text, %(marketing)s,
                %(reasons)s::text[]) AS suppressed
            LIMIT 1
        ) AS reason
    FROM batch
    JOIN batch_staging AS s
        -- The second bound says nothing new, but holds as a range of the index whatever the planner does.
        ON s.batch_id = %(batch)s AND s.line > %(at_line)s AND s.line <= %(at_line)s::bigint + %(size)s::bigint
        AND s.line <= batch.to_line
    CROSS JOIN LATERAL (
        -- Lower case as ASCII has it, compared as the index on the list is.
        SELECT
            CASE batch.channel
                WHEN 'email' THEN lower(s.address COLLATE "C") COLLATE "default" ELSE s.address END AS key
    ) AS k
    ORDER BY s.line
),
wanted AS MATERIALIZED (
    SELECT
        nextval('message_queue_id_seq') AS id,
        line.*,
        CASE WHEN reason IS NULL THEN 'pending' ELSE 'suppressed' END AS status
    FROM line
),
message AS (
    INSERT INTO message_queue (
        id, priority, message_type, category, client_id, community_id, batch_id, source_type, source_id,
        channel, recipient_type, recipient_id, recipient_address, content_data, ip_pool, gateway,
        gateway_pinned, status, scheduled_for, expires_at, max_attempts, last_error)
    SELECT
        wanted.id, batch.priority, batch.message_type, batch.category, batch.client_id, batch.community_id,
        batch.id, batch.source_type, batch.source_id, batch.channel, wanted.recipient_type,
        wanted.recipient_id, wanted.address, wanted.data, batch.ip_pool, %(gateway)s, batch.gateway_pinned,
        wanted.status, batch.due_at,
        coalesce(
            batch.expires_at,
            CASE WHEN %(on_clock)s THEN greatest(batch.scheduled_for, batch.accepted_at) ELSE batch.due_at END
            + %(max_age)s),
        %(max_attempts)s, 'the recipient is suppressed: ' || wanted.reason
    FROM wanted
    CROSS JOIN batch
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source, data)
    SELECT
        wanted.id, batch.priority,
        CASE WHEN wanted.reason IS NULL THEN 'queued' ELSE 'suppressed' END, 'api',
        CASE WHEN wanted.reason IS NOT NULL THEN jsonb_build_object('reason', wanted.reason) END
    FROM wanted
    CROSS JOIN batch
),
flow AS (
    INSERT INTO lane_flows (priority, channel, client_id)
    SELECT priority, channel, client_id FROM batch
    ON CONFLICT DO NOTHING
),
tally AS (
    SELECT
        count(*) FILTER (WHERE status = 'pending') AS queued,
        count(*) FILTER (WHERE status = 'suppressed') AS suppressed,
        min(id) AS first_id,
        max(id) AS last_id
    FROM wanted
)
UPDATE message_batches AS b
SET
    expanded_line = batch.to_line,
    state = CASE WHEN batch.to_line >= b.last_line THEN 'expanded' ELSE 'expanding' END,
    queued = b.queued + tally.queued,
    pending = b.pending + tally.queued,
    suppressed = b.suppressed + tally.suppressed,
    first_id = least(b.first_id, tally.first_id),
    last_id = greatest(b.last_id, tally.last_id)
FROM batch
CROSS JOIN tally
WHERE b.id = batch.id
RETURNING b.expanded_line, b.state, tally.queued AS added, tally.suppressed AS kept_back
