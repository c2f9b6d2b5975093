-- Lists which of these domains nobody has looked up, or too long ago.
SELECT d.domain
FROM unnest(%(domains)s::text[]) AS d (domain)
LEFT JOIN isp_domains AS i ON i.domain = d.domain
WHERE i.domain IS NULL OR i.expires_at <= now()
ORDER BY i.expires_at NULLS FIRST, d.domain
LIMIT %(limit)s
