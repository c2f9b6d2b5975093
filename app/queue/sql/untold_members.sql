-- Gives members of a topic that the gateway is to be told of, in one state; those tried before wait longer
-- each time, an hour at most.
SELECT t.device_id, t.changed_at, d.token
FROM topic_members AS t
JOIN device_tokens AS d ON d.id = t.device_id
WHERE t.topic_id = %(topic)s AND t.state = %(state)s AND t.state <> 'subscribed' AND t.device_id > %(after)s
  AND t.changed_at <= clock_timestamp() - least(interval '1 minute' * t.tries * t.tries, interval '1 hour')
ORDER BY t.device_id
LIMIT %(limit)s
