-- Takes claims of one lane whose lease is over away from their workers, to release their messages.
--
-- Whoever takes them has a lease in turn, so that another can do it should this process die.
UPDATE claims
SET worker = %(worker)s, lease_until = now() + %(lease)s
WHERE uuid IN (
    SELECT uuid
    FROM claims
    WHERE priority = %(priority)s AND state <> 'closed' AND lease_until < now()
    ORDER BY lease_until
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING uuid, state, marked
