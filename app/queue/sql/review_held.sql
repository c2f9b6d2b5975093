-- Ends the wait of held messages of one lane whose fate nobody could tell in time; at most `limit`.
--
-- By the rule they fail or are sent again, marked as perhaps a second time. Being held was a round: a
-- message without rounds left fails. In lanes that are not on the clock the time held does not count
-- against the message; in the others one whose time is over fails. A held row changes only by leaving
-- this state, so `updated_at` is when it was held. Gives one row with how many went which way.
WITH due AS MATERIALIZED (
    SELECT
        id,
        %(resend)s AND attempts + 1 < max_attempts AND (NOT %(on_clock)s OR expires_at > now()) AS again
    FROM message_queue
    WHERE priority = %(priority)s AND status = 'held'
      AND (expires_at <= now() OR updated_at <= now() - %(held_for)s)
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
),
changed AS (
    UPDATE message_queue AS m
    SET
        status = CASE WHEN due.again THEN 'pending' ELSE 'failed' END,
        scheduled_for = CASE WHEN due.again THEN now() ELSE m.scheduled_for END,
        expires_at = CASE
            WHEN due.again AND NOT %(on_clock)s THEN m.expires_at + (now() - m.updated_at)
            ELSE m.expires_at END,
        next_retry_at = CASE WHEN due.again THEN now() END,
        external_id = CASE WHEN due.again THEN NULL ELSE m.external_id END,
        tried = CASE WHEN due.again THEN '{}' ELSE m.tried END,
        attempts = m.attempts + 1,
        possible_duplicate = m.possible_duplicate OR due.again,
        updated_at = now()
    FROM due
    WHERE m.priority = %(priority)s AND m.id = ANY (ARRAY(SELECT id FROM due)) AND m.id = due.id
      AND m.status = 'held'
    RETURNING m.id, m.tries, m.gateway, due.again
),
event AS (
    INSERT INTO delivery_events (
        message_id, priority, event_type, attempt, gateway, outcome, detail, source, data)
    SELECT
        id, %(priority)s, CASE WHEN again THEN 'attempt_failed' ELSE 'failed' END, tries, gateway, 'unknown',
        'nobody could tell in time whether this was sent', 'worker',
        CASE WHEN again THEN '{"possible_duplicate": true}'::jsonb END
    FROM changed
)
SELECT count(*) FILTER (WHERE again) AS again, count(*) FILTER (WHERE NOT again) AS failed FROM changed
