-- Lowers the pace at which one gateway is sent to, for one part of the world, after it said "too fast".
-- Promises: many answers to one burst lower it once; it never falls below a share of what was usual; a few
-- refusals, by themselves or among many messages, lower nothing, since a gateway that is sent to too fast
-- refuses most of what is above its limit.
--
-- A pace is "<per second> <per second before> <since, ms> <how often lowered> <why>". It doubles in a time
-- that the caller names, and is over when it is where it was before.
--
-- KEYS  all paces, a hash; the minute in which what the gateway is sent is counted, as in take.lua; how often
--       it was said lately by each, a hash of "<since, ms> <times>"
-- ARGV  now in ms or "" for the server's clock; the pace's name; its share of what the gateway is sent; why;
--       by what it is lowered; the least share of what was before; the least of all, per second; ms in which
--       it doubles; ms in which it is lowered once; how many seconds of the minute are looked at; how often
--       it is said now; of how many messages, as a share, it must be said; how often at least; the least that
--       counts as usual
-- Gives the pace, or nil where it was lowered a moment ago, or is said too seldom.

local now = the_time(tonumber(ARGV[1]))
local name, share, why = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local by, least_share, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local doubling, pause, seconds = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local says, notable, few = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local least_usual = tonumber(ARGV[14])

-- Gives what the gateway was sent in the last seconds, and over how many of them.
local function sent_lately()
  local current = math.floor(now / 1000)
  local tokens, first = 0, nil
  local counts = redis.call('HMGET', KEYS[2], unpack(bucket_names(current - seconds + 1, current)))
  for place, count in ipairs(counts) do
    if count then
      first = first or place
      tokens = tokens + tonumber(count)
    end
  end
  return tokens, first and seconds - first + 1 or 1
end

local function said_lately()
  local since, times = string.match(redis.call('HGET', KEYS[3], name) or '', '^(%d+) (%d+)')
  since, times = tonumber(since) or now, tonumber(times) or 0
  if now - since > seconds * 1000 then since, times = now, 0 end
  redis.call('HSET', KEYS[3], name, string.format('%d %d', since, times + says))
  redis.call('PEXPIRE', KEYS[3], 2 * seconds * 1000)
  return times + says
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
local sent, spanned = sent_lately()
if said_lately() < math.max(few, notable * sent * share) then return nil end
local usual = math.max(known and known.before or sent / spanned * share, least_usual)
local rate = math.max((known and known.rate or usual) * by, usual * least_share, math.min(least, usual))
local times = (known and known.times or 0) + 1
local pace = string.format('%.4f %.4f %d %d %s', rate, usual, now, times, why)
redis.call('HSET', KEYS[1], name, pace)
return pace
