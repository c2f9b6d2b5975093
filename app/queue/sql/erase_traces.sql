-- Erases what else is kept of an address: what came from it, its device, and steps of sequences to it.
--
-- Sequences that would still go there are cancelled. Gives one row with how much of each there was.
WITH inbound AS (
    UPDATE inbound_messages
    SET sender_address = %(name)s, body = NULL, media = '{}'
    WHERE sender_address = ANY (%(spellings)s::text[])
    RETURNING inbox_id
),
letter AS (
    UPDATE webhook_inbox
    SET body = NULL, headers = '{}', url = '', erased_at = now()
    WHERE id = ANY (ARRAY(SELECT inbox_id FROM inbound WHERE inbox_id IS NOT NULL))
      AND processed_at IS NOT NULL AND erased_at IS NULL
    RETURNING id
),
device AS (
    UPDATE device_tokens
    SET
        token = %(name)s,
        device = NULL,
        recipient_type = NULL,
        recipient_id = 0,
        deactivated_at = coalesce(deactivated_at, now()),
        deactivated_why = coalesce(deactivated_why, 'asked')
    WHERE token = ANY (%(spellings)s::text[])
    RETURNING id
),
sequence AS (
    UPDATE sequences AS s
    SET state = 'cancelled', finished_at = now()
    WHERE s.state = 'running'
      AND s.id IN (
          SELECT st.sequence_id
          FROM sequence_steps AS st
          WHERE st.state = 'waiting'
            AND lower(st.request ->> 'recipient_address') = ANY (%(keys)s::text[])
      )
    RETURNING s.id
),
step AS (
    UPDATE sequence_steps AS st
    SET state = 'cancelled', request = NULL, decided_at = now()
    WHERE st.sequence_id = ANY (ARRAY(SELECT id FROM sequence)) AND st.state = 'waiting'
)
SELECT
    (SELECT count(*) FROM inbound) AS inbound,
    (SELECT count(*) FROM letter) AS letters,
    (SELECT count(*) FROM device) AS devices,
    (SELECT count(*) FROM sequence) AS sequences
