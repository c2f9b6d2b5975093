-- Ends an upload: the batch becomes visible and its answer is kept; nothing where it was discarded.
WITH batch AS (
    UPDATE message_batches
    SET
        state = 'accepted', accepted_at = now(), lease_until = NULL,
        received = %(received)s, invalid = %(invalid)s, duplicate = %(duplicate)s, last_line = %(last_line)s
    WHERE id = %(batch)s AND state = 'uploading'
    RETURNING client_id, idempotency_key
),
key AS (
    UPDATE idempotency_keys AS k
    SET state = 'done', answer = %(answer)s::jsonb, request_hash = %(request_hash)s, lease_until = NULL
    FROM batch
    WHERE k.client_id = batch.client_id AND k.key = batch.idempotency_key AND k.state = 'in_flight'
)
SELECT 1 FROM batch
