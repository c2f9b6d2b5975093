-- Gives up a step that nobody can accept any more, once, and lets the next one be due at once.
WITH failed AS (
    UPDATE sequence_steps AS st
    SET state = 'failed', request = NULL, error = %(error)s, decided_at = now()
    FROM sequences AS s
    WHERE s.id = %(sequence)s AND s.state = 'running' AND st.sequence_id = s.id
        AND st.position = %(position)s AND st.state = 'waiting'
    RETURNING st.sequence_id, st.position
),
following AS (
    SELECT min(due_at) - now() AS early
    FROM sequence_steps
    WHERE sequence_id = %(sequence)s AND state = 'waiting' AND position > %(position)s
),
moved AS (
    UPDATE sequence_steps AS st
    SET due_at = st.due_at - greatest(following.early, interval '0')
    FROM failed
    CROSS JOIN following
    WHERE st.sequence_id = failed.sequence_id AND st.state = 'waiting' AND st.position > failed.position
    RETURNING st.position
)
UPDATE sequences
SET state = 'finished', finished_at = now()
FROM failed
WHERE sequences.id = failed.sequence_id AND sequences.state = 'running' AND NOT EXISTS (SELECT FROM moved)
