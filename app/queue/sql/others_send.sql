-- Tells whether another worker than the named one may have messages on the wire.
SELECT EXISTS (
    SELECT FROM claims
    WHERE state = 'sending' AND lease_until > now() AND worker IS DISTINCT FROM %(worker)s
)
