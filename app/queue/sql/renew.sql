-- Lengthens the worker's lease on a claim; gives nothing where the claim is no longer its own.
UPDATE claims
SET lease_until = now() + %(lease)s, marked = marked || %(marks)s::bigint[]
WHERE uuid = %(claim)s AND state = 'sending' AND worker = %(worker)s
RETURNING uuid
