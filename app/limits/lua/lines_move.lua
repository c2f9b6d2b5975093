-- Moves the ends of lines nearer, since those who stand in them were given times that are nearer.
--
-- KEYS  shared windows, as in take.lua
-- ARGV  now in ms or "" for the server's clock; the share of each wait that is left, 0 where nobody waits any
--       more; the lines' names
-- Gives how many lines were moved.

local now = the_time(tonumber(ARGV[1]))
local share = tonumber(ARGV[2])
local moved = 0

local function nearer(key, field)
  local time = tonumber(redis.call('HGET', key, field) or nil)
  if not time or time <= now then return end
  redis.call('HSET', key, field, string.format('%.3f', now + (time - now) * share))
end

for _, key in ipairs(KEYS) do
  for place = 3, #ARGV do
    local following, start = ARGV[place] .. ':next', ARGV[place] .. ':start'
    if redis.call('HEXISTS', key, following) == 1 then
      if share == 0 then
        redis.call('HDEL', key, following, start)
      else
        nearer(key, following)
        nearer(key, start)
      end
      moved = moved + 1
    end
  end
end
return moved
