-- Adds what was spent since the last time to the days' sums, each line once; gives how many lines.
--
-- Lines that another folder has taken are its own: whoever deletes a line adds it, or neither.
WITH taken AS (
    DELETE FROM spending_deltas
    RETURNING day, channel, gateway, currency, messages, segments, amount
),
folded AS (
    INSERT INTO spending AS s (day, channel, gateway, currency, messages, segments, amount)
    SELECT day, channel, gateway, currency, sum(messages), sum(segments), sum(amount)
    FROM taken
    GROUP BY day, channel, gateway, currency
    ORDER BY day, channel, gateway, currency
    ON CONFLICT (day, channel, gateway, currency) DO UPDATE
    SET
        messages = s.messages + excluded.messages,
        segments = s.segments + excluded.segments,
        amount = s.amount + excluded.amount
)
SELECT count(*) AS folded FROM taken
