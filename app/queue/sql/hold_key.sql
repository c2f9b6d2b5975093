-- Holds an idempotency key until the transaction ends; `locked` is false where somebody else does.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(client_id)s || ':' || %(key)s, 0)) AS locked
