-- Removes from an upload each line whose address stands on an earlier line too; gives how many.
--
-- Hashes are grouped first, since they are short; only what shares one is compared in full. Both lists are
-- made once: statistics of earlier uploads let the planner expect a single row of this one, and it would
-- make them anew for each.
WITH shared AS MATERIALIZED (
    SELECT address_hash
    FROM batch_staging
    WHERE batch_id = %(batch)s
    GROUP BY address_hash
    HAVING count(*) > 1
),
repeated AS MATERIALIZED (
    SELECT
        line,
        row_number() OVER (
            PARTITION BY CASE WHEN %(in_lower_case)s THEN lower(address COLLATE "C") ELSE address END
            ORDER BY line
        ) AS occurrence
    FROM batch_staging
    JOIN shared USING (address_hash)
    WHERE batch_id = %(batch)s
),
removed AS (
    DELETE FROM batch_staging AS s
    USING repeated
    WHERE s.batch_id = %(batch)s AND s.line = repeated.line AND repeated.occurrence > 1
    RETURNING s.line
)
SELECT count(*) AS duplicate FROM removed
