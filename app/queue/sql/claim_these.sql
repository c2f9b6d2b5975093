-- Gives the worker these messages of one lane, where they still are pending and due.
--
-- For a message that goes on to its next gateway at once: it does not wait behind the lane. One claim
-- is opened for all of them and is the worker's own.
WITH due AS MATERIALIZED (
    SELECT m.id
    FROM message_queue AS m
    WHERE m.priority = %(priority)s AND m.id = ANY (%(ids)s::bigint[])
      AND m.status = 'pending' AND m.scheduled_for <= now()
    FOR UPDATE SKIP LOCKED
),
claim AS (
    INSERT INTO claims (uuid, priority, gateway, size, worker, state, lease_until)
    SELECT %(claim)s::uuid, %(priority)s, NULL, count(*), %(worker)s, 'sending', now() + %(lease)s
    FROM due
    HAVING count(*) > 0
    RETURNING uuid, state
)
UPDATE message_queue AS m
SET status = 'processing', locked_by = claim.uuid, locked_at = now(), tries = m.tries + 1,
    updated_at = now()
FROM claim
WHERE m.priority = %(priority)s AND m.id = ANY (ARRAY(SELECT id FROM due))
RETURNING
    claim.uuid AS claim, claim.state AS claim_state,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate
