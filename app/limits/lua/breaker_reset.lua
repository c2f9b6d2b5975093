-- Closes a breaker at once and forgets all it knew.
--
-- KEYS, ARGV  as in breaker.lua; then the reason
-- Gives its turn in us, the state before, the state after, the reason.

local before = read_state()
return {close(), before, 'closed', ARGV[FIRST]}
