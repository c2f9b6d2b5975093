-- Gives parked facts whose message is there by now, and locks them.
SELECT p.id, p.gateway, p.inbox_id, p.fact
FROM parked_events AS p
WHERE p.recorded_at < now() - %(waited)s
  AND (
      EXISTS (SELECT FROM message_queue AS m WHERE m.uuid = p.message_uuid)
      OR EXISTS (
          SELECT FROM message_queue AS m WHERE m.gateway = p.gateway AND m.external_id = p.external_id)
  )
ORDER BY p.id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
