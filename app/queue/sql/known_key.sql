-- Gives what an idempotency key was used for before, if it was.
SELECT request_hash, state, answer
FROM idempotency_keys
WHERE client_id = %(client_id)s AND key = %(key)s AND expires_at > now()
