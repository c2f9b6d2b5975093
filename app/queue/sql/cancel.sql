-- Cancels a message that is still pending, and logs it; gives its id, or nothing where it was not pending.
WITH cancelled AS (
    UPDATE message_queue
    SET status = 'cancelled', updated_at = now()
    WHERE uuid = %(uuid)s AND status = 'pending' AND (%(all)s OR client_id = %(client_id)s)
    RETURNING id, priority
),
event AS (
    INSERT INTO delivery_events (message_id, priority, event_type, source)
    SELECT id, priority, 'cancelled', %(source)s FROM cancelled
)
SELECT id FROM cancelled
