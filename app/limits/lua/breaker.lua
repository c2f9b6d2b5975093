-- What all breaker scripts share; it stands before each of them.
--
-- A breaker is a hash: "state" ("closed" where missing), "reason", "since", "retry_at", "wait" (ms), "proved"
-- (good probes in a row), "slot:<n>" (when a probe's slot expires), "streak" and "streak_since" (faults
-- without success between), "results:<n>" (a ring of "bucket good faults").
--
-- KEYS  the breaker
-- ARGV  now in ms or "" for the server's clock, ten figures of the rule, then the script's own

local breaker = KEYS[1]
local DAY = 86400000
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local rule = {
  faults = tonumber(ARGV[2]), bucket = tonumber(ARGV[3]), buckets = tonumber(ARGV[4]),
  share = tonumber(ARGV[5]), rate_results = tonumber(ARGV[6]), rate_share = tonumber(ARGV[7]),
  wait = tonumber(ARGV[8]), longest_wait = tonumber(ARGV[9]), probes = tonumber(ARGV[10]),
  probe_timeout = tonumber(ARGV[11]),
}
local FIRST = 12

local function read_state()
  local known = redis.call('HMGET', breaker, 'state', 'retry_at', 'wait')
  return known[1] or 'closed', tonumber(known[2] or 0), tonumber(known[3] or rule.wait)
end

-- Starts a state from nothing: old results, probes and proofs say nothing about it.
local function enter(state, reason, wait)
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, 'state', state, 'reason', reason, 'since', now, 'wait', wait,
             'retry_at', now + wait)
  redis.call('PEXPIRE', breaker, wait + DAY)
end

local function longer(wait)
  return math.min(2 * wait, rule.longest_wait)
end
