-- Registers a device, or says anew whose it is; gives its row unless a later registration is known.
--
-- A device that was taken out of use comes back where it was seen since.
INSERT INTO device_tokens AS d (
    token, platform, device, app, recipient_type, recipient_id, locale, last_seen_at)
VALUES (
    %(token)s, %(platform)s, %(device)s, %(app)s, %(recipient_type)s, %(recipient_id)s, %(locale)s,
    least(coalesce(%(last_seen_at)s::timestamptz, now()), now()))
ON CONFLICT (token) DO UPDATE
SET
    platform = excluded.platform, device = excluded.device, app = excluded.app,
    recipient_type = excluded.recipient_type, recipient_id = excluded.recipient_id,
    locale = excluded.locale, last_seen_at = excluded.last_seen_at,
    deactivated_at = CASE WHEN d.deactivated_at > excluded.last_seen_at THEN d.deactivated_at END,
    deactivated_why = CASE WHEN d.deactivated_at > excluded.last_seen_at THEN d.deactivated_why END
WHERE d.last_seen_at <= excluded.last_seen_at
RETURNING *, (xmax = 0) AS is_new
