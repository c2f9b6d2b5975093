-- Makes a waiting claim the worker's own and gives its messages; gives nothing where somebody has it.
--
-- Its first lease counts, not the one of a releaser that is putting its messages back at this moment.
WITH claim AS (
    UPDATE claims
    SET state = 'sending', worker = %(worker)s, lease_until = now() + %(lease)s
    WHERE uuid = %(claim)s AND state = 'claimed' AND created_at > now() - %(lease)s::interval
    RETURNING uuid, state
)
SELECT
    claim.uuid AS claim, claim.state AS claim_state,
    m.id, m.uuid, m.priority, m.message_type, m.category, m.client_id, m.community_id, m.batch_id,
    m.channel, m.recipient_address, m.subject, m.template, m.template_version, m.locale, m.body_text,
    m.body_html, m.content_data, m.options, m.ip_pool, m.gateway, m.gateway_pinned, m.tried,
    m.scheduled_for, m.expires_at, m.tries, m.attempts, m.max_attempts, m.possible_duplicate
FROM claim
JOIN message_queue AS m ON m.locked_by = claim.uuid
WHERE m.priority = %(priority)s AND m.status = 'processing'
