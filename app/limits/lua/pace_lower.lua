-- Lowers the pace at which one gateway is sent to, for one part of the world, after it said "too fast".
-- Promises: many answers to one burst lower it once; it never falls below a share of what was usual.
--
-- A pace is "<per second> <per second before> <since, ms> <how often lowered> <why>". It doubles in a time
-- that the caller names, and is over when it is where it was before.
--
-- KEYS  all paces, a hash; the minute in which what the gateway is sent is counted, as in take.lua
-- ARGV  now in ms or "" for the server's clock; the pace's name; its share of what the gateway is sent; why;
--       by what it is lowered; the least share of what was before; the least of all, per second; ms in which
--       it doubles; ms in which it is lowered once; how many seconds of the minute are looked at
-- Gives the pace, or nil where it was lowered a moment ago.

local now = the_time(tonumber(ARGV[1]))
local name, share, why = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local by, least_share, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local doubling, pause, seconds = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

-- Gives what the gateway was sent a second, over the part of the last seconds in which it was sent anything.
local function measured()
  local current = math.floor(now / 1000)
  local tokens, first = 0, nil
  local counts = redis.call('HMGET', KEYS[2], unpack(bucket_names(current - seconds + 1, current)))
  for place, count in ipairs(counts) do
    if count then
      first = first or place
      tokens = tokens + tonumber(count)
    end
  end
  return first and tokens / (seconds - first + 1) or 0
end

local function standing()
  local known = redis.call('HGET', KEYS[1], name)
  if not known then return nil end
  local rate, before, since, times = string.match(known, '^(%S+) (%S+) (%S+) (%S+)')
  rate, before, since = tonumber(rate), tonumber(before), tonumber(since)
  local grown = rate * 2 ^ ((now - since) / doubling)
  if grown < before then
    return {rate = grown, before = before, since = since, times = tonumber(times)}
  end
end

local known = standing()
if known and now - known.since < pause then return nil end
local usual = math.max(known and known.before or measured() * share, least)
local rate = math.max((known and known.rate or usual) * by, usual * least_share, math.min(least, usual))
local times = (known and known.times or 0) + 1
local pace = string.format('%.4f %.4f %d %d %s', rate, usual, now, times, why)
redis.call('HSET', KEYS[1], name, pace)
return pace
