-- Says how many tries may go to a gateway now.
-- Promises: all where it is closed; none while it is open; then a few probes at a time, each with a slot
-- that comes back when its result does or its time is over; all that is urgent, always.
--
-- KEYS, ARGV  as in breaker.lua; then tries wanted, "1" where they are urgent, ms to wait for probes
-- Gives its turn in us, the state before, the state after, tries admitted, how many of them are probes,
-- retry_at in ms.

local wanted, urgent, pause = tonumber(ARGV[FIRST]), ARGV[FIRST + 1] == '1', tonumber(ARGV[FIRST + 2])

local function take_slots()
  local taken = 0
  for slot = 1, rule.probes do
    local expires = tonumber(redis.call('HGET', breaker, 'slot:' .. slot) or 0)
    if taken < wanted and expires <= now then
      redis.call('HSET', breaker, 'slot:' .. slot, now + rule.probe_timeout)
      taken = taken + 1
    end
  end
  return taken
end

local before, retry_at, wait = read_state()
if before == 'closed' then return {micros, before, before, wanted, 0, now} end

local after, turn = before, micros
if before == 'open' and retry_at <= now and wanted > 0 then
  after, turn = 'half_open', next_turn()
  redis.call('HSET', breaker, 'state', after, 'since', now, 'turn', turn)
end
local admitted = 0
if after == 'half_open' then
  admitted = take_slots()
  retry_at = now + pause
end
if urgent then admitted = wanted end
return {turn, before, after, admitted, admitted, retry_at}
