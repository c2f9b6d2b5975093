-- Keeps proven webhooks, to be processed later; safe once this has returned.
INSERT INTO webhook_inbox (gateway, request_id, url, headers, body)
SELECT *
FROM unnest(
    %(gateways)s::text[], %(request_ids)s::text[], %(urls)s::text[], %(headers)s::jsonb[],
    %(bodies)b::bytea[])
