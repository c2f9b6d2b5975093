-- Writes a sequence whose first step was sent just now, with the steps that wait; gives its id and uuid.
WITH made AS (
    INSERT INTO sequences (client_id, scopes) VALUES (%(client_id)s, %(scopes)s)
    RETURNING id, uuid
),
step AS (
    INSERT INTO sequence_steps (
        sequence_id, position, channel, until, after, due_at, state, request, decided_at)
    SELECT
        made.id, s.position, s.channel, s.until, s.after,
        greatest(%(scheduled_for)s::timestamptz, now()) + sum(s.after) OVER (ORDER BY s.position),
        CASE WHEN s.request IS NULL THEN 'sent' ELSE 'waiting' END, s.request,
        CASE WHEN s.request IS NULL THEN now() END
    FROM made
    CROSS JOIN unnest(
        %(positions)s::int[], %(channels)s::text[], %(untils)s::text[], %(afters)s::interval[],
        %(requests)s::jsonb[]
    ) AS s (position, channel, until, after, request)
)
SELECT id, uuid FROM made
