-- Opens a breaker at once, for a reason.
-- Promises: one that is open already stays so for its full wait again, under the new reason; one that
-- was being probed waits longer than before.
--
-- KEYS, ARGV  as in breaker.lua; then the reason, ms to wait or "" for the rule's
-- Gives its turn in us, the state before, the state after, the reason; then until when, where it opened.

local reason, own_wait = ARGV[FIRST], tonumber(ARGV[FIRST + 1])
local before, _, wait = read_state()
if before == 'half_open' then wait = longer(wait) end
wait = own_wait or wait
return {enter('open', reason, wait), before, 'open', reason, now + wait}
