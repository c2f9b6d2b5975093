-- Keeps what was counted of gateways minute by minute; may be repeated with the same or later counts.
--
-- Counts of a minute only grow, so the greater are the later ones: after Redis was lost, what it counted
-- since then does not replace what was kept before.
INSERT INTO gateway_minutes AS kept (
    channel, gateway, minute, accepted, failed, requests, latency_ms, peak_per_sec, latencies)
SELECT
    told.channel, told.gateway, told.minute, told.accepted, told.failed, told.requests, told.latency_ms,
    told.peak_per_sec, told.latencies::integer[]
FROM unnest(
    %(channels)s::text[], %(gateways)s::text[], %(minutes)s::timestamptz[], %(accepted)s::bigint[],
    %(failed)s::bigint[], %(requests)s::bigint[], %(latency_ms)s::bigint[], %(peaks)s::float8[],
    %(latencies)s::text[]
) AS told (
    channel, gateway, minute, accepted, failed, requests, latency_ms, peak_per_sec, latencies)
ORDER BY channel, gateway, minute
ON CONFLICT (channel, gateway, minute) DO UPDATE
SET
    accepted = greatest(kept.accepted, excluded.accepted),
    failed = greatest(kept.failed, excluded.failed),
    requests = greatest(kept.requests, excluded.requests),
    latency_ms = greatest(kept.latency_ms, excluded.latency_ms),
    peak_per_sec = greatest(kept.peak_per_sec, excluded.peak_per_sec),
    latencies = CASE WHEN excluded.requests > kept.requests THEN excluded.latencies ELSE kept.latencies END
WHERE excluded.requests > kept.requests OR excluded.accepted > kept.accepted OR excluded.failed > kept.failed
