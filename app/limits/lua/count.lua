-- Corrects what windows hold: tokens given back, or counted afterwards, in the buckets of their times.
-- Promises: a bucket never falls below zero, and one that no sliding window reaches stays untouched.
--
-- KEYS  one for each window, as in take.lua
-- ARGV  now in ms or "" for the server's clock; "1" to leave windows alone that hold something already;
--       for each window: buckets, width in ms, how many corrections; for each: time in ms, tokens (+ or -)

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local argument = 2

local function next_argument()
  argument = argument + 1
  return tonumber(ARGV[argument])
end

for _, key in ipairs(KEYS) do
  local buckets, width = next_argument(), next_argument()
  local known = redis.call('HMGET', key, 'sum', 'newest')
  local untouchable = ARGV[2] == '1' and known[2]
  local sum, newest = tonumber(known[1] or 0), tonumber(known[2] or nil)
  local current = newest or math.floor(now / width)
  local change = 0
  for position = 1, next_argument() do
    local bucket, tokens = math.floor(next_argument() / width), next_argument()
    if not untouchable and bucket <= current and bucket >= current - buckets then
      local held = tonumber(redis.call('HGET', key, bucket) or 0)
      tokens = math.max(tokens, -held)
      redis.call('HINCRBY', key, bucket, tokens)
      change = change + tokens
    end
  end
  if change ~= 0 then
    redis.call('HSET', key, 'sum', sum + change, 'newest', current)
    redis.call('PEXPIRE', key, (buckets + 2) * width, 'NX')
  end
end
return #KEYS
