-- Keeps the answer to a request under its idempotency key, which the transaction holds.
INSERT INTO idempotency_keys (client_id, key, request_hash, state, answer, expires_at)
VALUES (%(client_id)s, %(key)s, %(request_hash)s, 'done', %(answer)s::jsonb, now() + %(kept)s)
ON CONFLICT (client_id, key) DO UPDATE
SET
    request_hash = excluded.request_hash, state = excluded.state, answer = excluded.answer,
    answer_status = NULL, lease_until = NULL, expires_at = excluded.expires_at
