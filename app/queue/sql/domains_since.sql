-- Lists the domains that a lane's newest mails go to, behind the last one that was seen, with the last
-- message of each.
WITH newest AS MATERIALIZED (
    SELECT id, channel, recipient_address
    FROM message_queue
    WHERE priority = %(priority)s AND id > %(after)s
    ORDER BY id DESC
    LIMIT %(limit)s
)
SELECT lower(substring(recipient_address FROM '[^@]*$')) AS domain, max(id) AS last
FROM newest
WHERE channel = 'email'
GROUP BY 1
