-- Keeps a copy of the stops in force for those who cannot reach PostgreSQL.
-- Promises: the copy of whoever asked PostgreSQL last stays, in whatever order copies come in; one that
-- is a minute ahead comes from before PostgreSQL's clock was set back, and gives way.
--
-- KEYS  the copy
-- ARGV  PostgreSQL's time of it in seconds; the stops as JSON; ttl in ms
-- Gives 1 where it was kept.

local at, known = tonumber(ARGV[1]), tonumber(redis.call('HGET', KEYS[1], 'at') or nil)
if known and known > at and known < at + 60 then return 0 end
redis.call('HSET', KEYS[1], 'at', ARGV[1], 'stops', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
