-- Makes the holder leader for the length of a lease, or lengthens its lease; nothing where another leads.
--
-- Gives for how long nobody had led when it took over; null where it led already or nobody ever did.
WITH before AS MATERIALIZED (
    SELECT holder, now() - lease_until AS vacant FROM job_leader WHERE name = %(name)s
)
INSERT INTO job_leader AS l (name, holder, lease_until)
VALUES (%(name)s, %(holder)s, now() + %(lease)s)
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder, lease_until = excluded.lease_until
WHERE l.holder = excluded.holder OR l.lease_until <= now()
RETURNING (SELECT vacant FROM before WHERE before.holder <> %(holder)s) AS vacant
