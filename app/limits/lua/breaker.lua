-- What all breaker scripts share; it stands before each of them.
--
-- A breaker is a hash: "state" ("closed" where missing), "reason", "since", "retry_at", "wait" (ms), "proved"
-- (good probes in a row), "slot:<n>" (when a probe's slot expires), "streak" and "streak_since" (faults
-- without success between), "results:<n>" (a ring of "bucket good faults"), "turn" (when it last changed, in
-- us, later than at any change before it, whatever the clock did: by it others know which of two changes is
-- the later). A closed one keeps its turn, so that nobody takes it for forgotten.
--
-- KEYS  the breaker
-- ARGV  now in ms or "" for the server's clock, ten figures of the rule, then the script's own

local breaker = KEYS[1]
local DAY = 86400000
local now = tonumber(ARGV[1])
local micros = (now or 0) * 1000
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  micros = time[1] * 1000000 + time[2]
end
local rule = {
  faults = tonumber(ARGV[2]), bucket = tonumber(ARGV[3]), buckets = tonumber(ARGV[4]),
  share = tonumber(ARGV[5]), rate_results = tonumber(ARGV[6]), rate_share = tonumber(ARGV[7]),
  wait = tonumber(ARGV[8]), longest_wait = tonumber(ARGV[9]), probes = tonumber(ARGV[10]),
  probe_timeout = tonumber(ARGV[11]),
}
local FIRST = 12

local function read_state()
  local known = redis.call('HMGET', breaker, 'state', 'retry_at', 'wait', 'turn')
  return known[1] or 'closed', tonumber(known[2] or 0), tonumber(known[3] or rule.wait), known[4]
end

local function next_turn()
  return math.max(tonumber(redis.call('HGET', breaker, 'turn') or 0) + 1, micros)
end

-- Starts a state from nothing: old results, probes and proofs say nothing about it. Gives its turn.
local function enter(state, reason, wait)
  local turn = next_turn()
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, 'state', state, 'reason', reason, 'since', now, 'wait', wait,
             'retry_at', now + wait, 'turn', turn)
  redis.call('PEXPIRE', breaker, wait + DAY)
  return turn
end

-- Closes it, and forgets everything but when. Gives its turn.
local function close()
  local turn = next_turn()
  redis.call('DEL', breaker)
  redis.call('HSET', breaker, 'turn', turn)
  redis.call('PEXPIRE', breaker, DAY)
  return turn
end

local function longer(wait)
  return math.min(2 * wait, rule.longest_wait)
end
