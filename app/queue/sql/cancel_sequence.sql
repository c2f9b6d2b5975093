-- Cancels a running sequence with all steps that wait; gives its id, or nothing where it was not running.
WITH cancelled AS (
    UPDATE sequences
    SET state = 'cancelled', finished_at = now()
    WHERE uuid = %(uuid)s AND state = 'running' AND (%(all)s OR client_id = %(client_id)s)
    RETURNING id
),
step AS (
    UPDATE sequence_steps AS st
    SET state = 'cancelled', request = NULL, decided_at = now()
    FROM cancelled
    WHERE st.sequence_id = cancelled.id AND st.state = 'waiting'
)
SELECT id FROM cancelled
