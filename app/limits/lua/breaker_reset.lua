-- Closes a breaker at once and forgets all it knew.
--
-- KEYS, ARGV  as in breaker.lua; then the reason
-- Gives now, the state before, the state after, the reason.

local before = read_state()
redis.call('DEL', breaker)
return {now, before, 'closed', ARGV[FIRST]}
