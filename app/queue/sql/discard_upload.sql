-- Gives up an upload and frees its key; what was staged is removed after. Nothing where it is none.
WITH batch AS (
    UPDATE message_batches
    SET state = 'discarded'
    WHERE id = %(batch)s AND state = 'uploading' AND (%(alive)s OR lease_until < now())
    RETURNING client_id, idempotency_key
),
key AS (
    DELETE FROM idempotency_keys AS k
    USING batch
    WHERE k.client_id = batch.client_id AND k.key = batch.idempotency_key AND k.state = 'in_flight'
)
SELECT 1 FROM batch
