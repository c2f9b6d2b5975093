-- Counts those of some addresses, in the form that is compared, that may not be sent such a message.
SELECT count(*) AS suppressed
FROM unnest(%(keys)s::text[]) AS wanted (key)
WHERE EXISTS (
    SELECT 1
    FROM suppressions_of(
        %(channel)s::text, wanted.key, %(community)s::bigint, %(category)s::text, %(sender)s::text,
        %(marketing)s::boolean, %(reasons)s::text[])
)
