-- Ends a batch before all of it was sent: what is staged is never expanded. Nothing where it cannot be.
--
-- Where an expander is in a slice this waits for it, so that the ids are complete after.
UPDATE message_batches
SET state = 'cancelled'
WHERE id = %(batch)s AND state IN ('accepted', 'expanding', 'expanded', 'cancelled')
RETURNING id
