-- Gives the worker up to about `size` due messages of one lane, fairly between callers.
--
-- Every flow (one caller on one channel) that has due work gets the same share, so that a million
-- rows of one caller do not make another's hundred wait. Rows that another worker is claiming are
-- passed over. Each flow is read from the position where this worker's last claim ended, so that
-- index entries of claimed rows, which vacuum cannot remove beside an old transaction, are not
-- walked over again; callers leave the position out to sweep from the beginning.
--
-- One claim is opened for each gateway among the rows. The largest is the worker's own at once (state
-- "sending", under the id for which it has opened the ledger); the others wait for whoever takes them over.
--
-- Time for which we held a message back, or had it stopped, since it was due does not count against its
-- own, but in lanes on the clock. Callers that are stopped are left out, so that nobody claims in vain.
--
-- LIMIT 1 and the array of ids keep the planner on one index each, whatever it believes of the counts.
WITH flow AS (
    SELECT
        f.channel,
        f.client_id,
        coalesce(p.scheduled_for, '-infinity') AS after_time,
        coalesce(p.id, 0) AS after_id
    FROM lane_flows AS f
    LEFT JOIN unnest(
        %(channels_at)s::text[], %(clients_at)s::bigint[], %(times_at)s::timestamptz[], %(ids_at)s::bigint[]
    ) AS p (channel, client_id, scheduled_for, id) USING (channel, client_id)
    WHERE f.priority = %(priority)s AND f.channel = ANY (%(channels)s::text[])
      AND f.client_id <> ALL (%(stopped_clients)s::bigint[])
),
share AS MATERIALIZED (
    SELECT flow.*, greatest(%(size)s / count(*) OVER (), 1) AS quota
    FROM flow
    CROSS JOIN LATERAL (
        SELECT m.id
        FROM message_queue AS m
        WHERE m.priority = %(priority)s AND m.status = 'pending'
          AND m.channel = flow.channel AND m.client_id = flow.client_id
          AND m.scheduled_for <= now()
          AND (m.scheduled_for, m.id) > (flow.after_time, flow.after_id)
        ORDER BY m.scheduled_for, m.id
        LIMIT 1
    ) AS first_due
),
due AS MATERIALIZED (
    SELECT m.id, m.gateway
    FROM share
    CROSS JOIN LATERAL (
        SELECT m.id, coalesce(m.gateway, '') AS gateway
        FROM message_queue AS m
        WHERE m.priority = %(priority)s AND m.status = 'pending'
          AND m.channel = share.channel AND m.client_id = share.client_id
          AND m.scheduled_for <= now()
          AND (m.scheduled_for, m.id) > (share.after_time, share.after_id)
        ORDER BY m.scheduled_for, m.id
        LIMIT share.quota
        FOR UPDATE SKIP LOCKED
    ) AS m
),
claim AS (
    INSERT INTO claims (uuid, priority, gateway, size, worker, state, lease_until)
    SELECT
        CASE WHEN place = 1 THEN %(claim)s ELSE gen_random_uuid() END, %(priority)s, gateway, size,
        %(worker)s, CASE WHEN place = 1 THEN 'sending' ELSE 'claimed' END, now() + %(lease)s
    FROM (
        SELECT gateway, count(*) AS size, row_number() OVER (ORDER BY count(*) DESC, gateway) AS place
        FROM due
        GROUP BY gateway
    ) AS by_gateway
    RETURNING uuid, gateway, state
)
UPDATE message_queue AS m
SET status = 'processing', locked_by = claim.uuid, locked_at = now(), tries = m.tries + 1,
    expires_at = m.expires_at + CASE
        WHEN NOT %(on_clock)s AND m.scheduled_for < (SELECT waited_until(%(priority)s))
        THEN waited_time(m.priority, m.channel, m.client_id, m.scheduled_for, now())
        ELSE interval '0' END,
    updated_at = now()
FROM claim
WHERE m.priority = %(priority)s
  AND m.id = ANY (ARRAY(SELECT id FROM due))
  AND coalesce(m.gateway, '') = claim.gateway
RETURNING
    claim.uuid AS claim, claim.state AS claim_state,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate,
    (SELECT max(quota) FROM share) AS quota
