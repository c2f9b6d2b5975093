-- Tells how many tokens each window holds now, without changing any.
--
-- KEYS  one for each window, as in take.lua
-- ARGV  now in ms or "" for the server's clock; for each window: buckets, width in ms
-- Gives one number for each window.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local answers = {}
for index, key in ipairs(KEYS) do
  local buckets, width = tonumber(ARGV[2 * index]), tonumber(ARGV[2 * index + 1])
  local known = redis.call('HMGET', key, 'sum', 'newest')
  local sum, newest = tonumber(known[1] or 0), tonumber(known[2] or nil)
  local first = math.floor(now / width) - buckets
  if newest and first > newest - buckets then
    local names = {}
    for bucket = newest - buckets, math.min(first - 1, newest) do names[#names + 1] = bucket end
    for _, tokens in ipairs(redis.call('HMGET', key, unpack(names))) do
      sum = sum - tonumber(tokens or 0)
    end
  end
  answers[index] = sum
end
return answers
