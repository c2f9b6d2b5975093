-- Sums what was spent by day, channel, gateway and currency: the days' sums, and what is not in them yet.
SELECT day, channel, gateway, currency, sum(messages) AS messages, sum(segments) AS segments,
    sum(amount) AS amount
FROM (
    SELECT day, channel, gateway, currency, messages, segments, amount FROM spending
    UNION ALL
    SELECT day, channel, gateway, currency, messages, segments, amount FROM spending_deltas
) AS known
WHERE day >= %(since)s::date AND day < %(until)s::date
    AND (%(channel)s::text IS NULL OR channel = %(channel)s)
    AND (%(gateway)s::text IS NULL OR gateway = %(gateway)s)
GROUP BY day, channel, gateway, currency
ORDER BY day, channel, gateway, currency
