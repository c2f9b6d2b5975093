-- Counts what waits because of a stop, or would: what is due or was put back for it, and what is due later.
--
-- Flow by flow, no further than `counted` in each and `looked` in all of them; `cut` tells that there is more
-- that was not looked at.
SELECT
    coalesce(sum(flow.waiting), 0)::bigint AS waiting,
    coalesce(sum(flow.later), 0)::bigint AS later,
    coalesce(bool_or(flow.looked >= %(counted)s), false) OR coalesce(sum(flow.looked), 0) >= %(looked)s AS cut
FROM (
    SELECT
        count(*) AS looked,
        count(*) FILTER (WHERE each.fits AND each.now) AS waiting,
        count(*) FILTER (WHERE each.fits AND NOT each.now) AS later
    FROM (
        SELECT
            f.priority, f.channel, f.client_id,
            m.scheduled_for <= now() OR coalesce(m.last_error = %(reason)s, false) AS now,
            CASE %(scope)s
                WHEN 'gateway' THEN m.gateway IS NOT DISTINCT FROM %(key)s
                WHEN 'template' THEN coalesce(
                    m.template, (SELECT b.template FROM message_batches AS b WHERE b.id = m.batch_id)
                ) IS NOT DISTINCT FROM %(key)s
                ELSE true END AS fits
        FROM lane_flows AS f
        CROSS JOIN LATERAL (
            SELECT q.gateway, q.template, q.batch_id, q.last_error, q.scheduled_for
            FROM message_queue AS q
            WHERE q.priority = f.priority AND q.status = 'pending'
              AND q.channel = f.channel AND q.client_id = f.client_id
            ORDER BY q.scheduled_for, q.id
            LIMIT %(counted)s
        ) AS m
        WHERE (%(includes_p0)s OR f.priority <> 'P0')
          AND (%(scope)s <> 'channel' OR f.channel = %(key)s)
          AND (%(scope)s <> 'priority' OR f.priority = %(key)s)
          AND (%(scope)s <> 'client' OR f.client_id::text = %(key)s)
        LIMIT %(looked)s
    ) AS each
    GROUP BY each.priority, each.channel, each.client_id
) AS flow
