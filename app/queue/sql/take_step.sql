-- Takes a due step of a running sequence, once: whoever gets a row sends it, and commits both together.
--
-- Where an earlier message has reached its recipient, the step is skipped, and with it all later ones of
-- which that is true as well. `confirmed` stops every step, `delivered` those that ask for no more. Gives
-- no row where another process has the sequence or the step, or an earlier step still waits.
WITH step AS MATERIALIZED (
    SELECT st.sequence_id, st.position, st.request, st.due_at, s.client_id, s.scopes, c.name
    FROM sequences AS s
    JOIN sequence_steps AS st ON st.sequence_id = s.id
    JOIN api_clients AS c ON c.id = s.client_id
    WHERE s.id = %(sequence)s AND s.state = 'running' AND st.position = %(position)s
        AND st.state = 'waiting' AND st.due_at <= now()
        AND NOT EXISTS (
            SELECT FROM sequence_steps AS earlier
            WHERE earlier.sequence_id = s.id AND earlier.state = 'waiting'
                AND earlier.position < st.position)
    FOR UPDATE OF s, st SKIP LOCKED
),
reached AS MATERIALIZED (
    SELECT
        coalesce(bool_or(m.status = 'delivered'), false) AS delivered,
        coalesce(
            bool_or(EXISTS (
                SELECT FROM delivery_events AS e
                WHERE e.message_id = sent.message_id AND e.event_type = 'confirmed')),
            false) AS confirmed
    FROM step
    JOIN sequence_messages AS sent USING (sequence_id)
    LEFT JOIN message_queue AS m ON m.priority = sent.message_priority AND m.id = sent.message_id
),
decided AS (
    UPDATE sequence_steps AS st
    SET
        state = CASE
            WHEN reached.confirmed OR (reached.delivered AND st.until = 'delivered') THEN 'skipped'
            ELSE 'sent' END,
        request = NULL,
        decided_at = now()
    FROM step
    CROSS JOIN reached
    WHERE st.sequence_id = step.sequence_id AND st.state = 'waiting'
        AND (st.position = step.position
             OR (st.position > step.position
                 AND (reached.confirmed OR (reached.delivered AND st.until = 'delivered'))))
    RETURNING st.position, st.state
)
SELECT
    decided.state, step.request, step.client_id, step.name AS client, step.scopes, now() - step.due_at AS late
FROM step
JOIN decided USING (position)
