-- Sums up what happened under each name in the last day and the last week.
SELECT
    h.kind, h.key,
    coalesce(sum(h.sent) FILTER (WHERE h.hour > now() - interval '24 hours'), 0)::bigint AS sent_day,
    coalesce(sum(h.bounced) FILTER (WHERE h.hour > now() - interval '24 hours'), 0)::bigint AS bounced_day,
    coalesce(sum(h.complained) FILTER (WHERE h.hour > now() - interval '24 hours'), 0)::bigint AS complained_day,
    sum(h.sent)::bigint AS sent_week,
    sum(h.bounced)::bigint AS bounced_week,
    sum(h.complained)::bigint AS complained_week
FROM reputation_hours AS h
WHERE h.hour > now() - interval '7 days'
GROUP BY h.kind, h.key
ORDER BY h.kind, h.key
