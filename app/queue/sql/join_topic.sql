-- Puts devices into a topic, those of them that are in use; FCM is told of its own by somebody else.
--
-- One that is in already stays as it is; one that was about to leave stays in.
INSERT INTO topic_members AS t (topic_id, device_id, state)
SELECT %(topic)s, d.id, CASE d.platform WHEN 'fcm' THEN 'subscribing' ELSE 'subscribed' END
FROM device_tokens AS d
WHERE d.token = ANY (%(tokens)s::text[]) AND d.deactivated_at IS NULL
ORDER BY d.id
ON CONFLICT (topic_id, device_id) DO UPDATE
SET state = excluded.state, error = NULL, tries = 0, changed_at = clock_timestamp()
WHERE t.state = 'unsubscribing'
