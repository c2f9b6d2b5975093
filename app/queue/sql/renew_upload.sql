-- Lengthens the lease of an upload and of its key; gives nothing where the upload is no longer one.
WITH batch AS (
    UPDATE message_batches
    SET lease_until = now() + %(lease)s
    WHERE id = %(batch)s AND state = 'uploading'
    RETURNING client_id, idempotency_key
),
key AS (
    UPDATE idempotency_keys AS k
    SET lease_until = now() + %(lease)s
    FROM batch
    WHERE k.client_id = batch.client_id AND k.key = batch.idempotency_key AND k.state = 'in_flight'
)
SELECT 1 FROM batch
