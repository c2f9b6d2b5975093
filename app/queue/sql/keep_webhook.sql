-- Keeps a proven webhook, to be processed later; safe once this has returned.
INSERT INTO webhook_inbox (gateway, request_id, url, headers, body)
VALUES (%(gateway)s, %(request_id)s, %(url)s, %(headers)s::jsonb, %(body)s)
RETURNING id
