-- Lists steps of running sequences whose time has come, the earliest first.
SELECT sequence_id, position
FROM sequence_steps
WHERE state = 'waiting' AND due_at <= now()
ORDER BY due_at, sequence_id, position
LIMIT %(limit)s
