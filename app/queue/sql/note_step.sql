-- Notes what a taken step came to: its messages, later steps' times, and the sequence's end with its last.
--
-- A step that was sent late moves those behind it, so that each waits its whole time.
WITH message AS (
    INSERT INTO sequence_messages (sequence_id, position, message_id, message_priority, message_uuid)
    SELECT %(sequence)s, %(position)s, m.id, %(priority)s, m.uuid
    FROM unnest(%(ids)s::bigint[], %(uuids)s::uuid[]) AS m (id, uuid)
),
moved AS (
    UPDATE sequence_steps
    SET due_at = due_at + %(late)s
    WHERE sequence_id = %(sequence)s AND state = 'waiting'
    RETURNING position
)
UPDATE sequences
SET state = CASE WHEN %(skipped)s THEN 'stopped' ELSE 'finished' END, finished_at = now()
WHERE id = %(sequence)s AND state = 'running' AND NOT EXISTS (SELECT FROM moved)
