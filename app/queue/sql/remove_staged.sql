-- Removes some of a batch's staged rows; gives one row for each.
DELETE FROM batch_staging
WHERE batch_id = %(batch)s
  AND line IN (SELECT line FROM batch_staging WHERE batch_id = %(batch)s ORDER BY line LIMIT %(size)s)
