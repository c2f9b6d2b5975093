-- Finishes the batches of which every message rests; cancelled ones keep their state. Gives their ids.
--
-- Deltas that are not folded yet may still say that something moves, so these wait for the next time.
UPDATE message_batches AS b
SET finished_at = now(), state = CASE b.state WHEN 'expanded' THEN 'finished' ELSE b.state END
WHERE b.finished_at IS NULL AND b.state IN ('expanded', 'cancelled')
  AND b.pending + b.processing + b.held = 0
  AND NOT EXISTS (SELECT FROM batch_deltas AS d WHERE d.batch_id = b.id)
  AND (b.state = 'expanded' OR NOT EXISTS (SELECT FROM batch_staging AS s WHERE s.batch_id = b.id))
RETURNING b.id
