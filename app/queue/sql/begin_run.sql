-- Takes one slot of a job for the leader; nothing where the slot is taken, or the holder leads no more.
INSERT INTO job_runs (job, slot, holder)
SELECT %(job)s, %(slot)s, l.holder
FROM job_leader AS l
WHERE l.name = %(name)s AND l.holder = %(holder)s AND l.lease_until > now()
ON CONFLICT (job, slot) DO NOTHING
RETURNING slot
