-- Adds what was counted under names since the last time to the hours' sums, each line once.
--
-- Lines that another folder has taken are its own. Gives how many lines that were.
WITH taken AS (
    DELETE FROM reputation_deltas
    RETURNING kind, key, hour, sent, bounced, complained
),
folded AS (
    INSERT INTO reputation_hours AS h (kind, key, hour, sent, bounced, complained)
    SELECT kind, key, hour, sum(sent), sum(bounced), sum(complained)
    FROM taken
    GROUP BY kind, key, hour
    ORDER BY kind, key, hour
    ON CONFLICT (kind, key, hour) DO UPDATE
    SET
        sent = h.sent + excluded.sent,
        bounced = h.bounced + excluded.bounced,
        complained = h.complained + excluded.complained
)
SELECT count(*) AS folded FROM taken
