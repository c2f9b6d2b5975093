-- Tells what gateways did in the last 24 hours, in stretches of ten minutes that end now.
--
-- Read from counts by the minute: a day of all gateways is some thousand small rows, however many messages
-- those were.
SELECT
    g.channel, g.gateway,
    floor(extract(epoch FROM %(now)s::timestamptz - g.minute) / 600)::integer AS ago,
    sum(g.accepted)::bigint AS accepted,
    sum(g.failed)::bigint AS failed,
    sum(g.requests)::bigint AS requests,
    sum(g.latency_ms)::bigint AS latency_ms,
    max(g.peak_per_sec) AS peak_per_sec,
    max(g.minute) FILTER (WHERE g.failed > 0) AS failed_at,
    ARRAY[
        sum(g.latencies[1]), sum(g.latencies[2]), sum(g.latencies[3]), sum(g.latencies[4]),
        sum(g.latencies[5]), sum(g.latencies[6]), sum(g.latencies[7]), sum(g.latencies[8]),
        sum(g.latencies[9]), sum(g.latencies[10]), sum(g.latencies[11]), sum(g.latencies[12]),
        sum(g.latencies[13]), sum(g.latencies[14]), sum(g.latencies[15]), sum(g.latencies[16]),
        sum(g.latencies[17]), sum(g.latencies[18]), sum(g.latencies[19])
    ]::bigint[] AS latencies
FROM gateway_minutes AS g
WHERE g.minute > %(now)s::timestamptz - interval '24 hours' AND g.gateway = ANY (%(gateways)s::text[])
GROUP BY g.channel, g.gateway, ago
