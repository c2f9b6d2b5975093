-- Corrects what windows hold: tokens given back, or counted afterwards, in the buckets of their times.
-- Promises: a bucket never falls below zero, and one that no sliding window reaches stays untouched.
--
-- KEYS  the life; one for each window, as in take.lua
-- ARGV  JSON: "now" in ms (without it the server's clock); "keep" to leave windows alone that hold
--       something already; "anew" to empty the windows first, which is done only while the life is lost;
--       "life" to begin one with this behind the server's run id; "windows" (flat; for each: 1 where it
--       is a recipient's; buckets; width in ms; how many corrections; for each of these: time in ms,
--       tokens (+ or -))
-- Gives 1, or 0 where nothing was done since the counts are there.

local request = cjson.decode(ARGV[1])
local now = the_time(request.now)
local figures, position = request.windows, 0

local function following()
  position = position + 1
  return figures[position]
end

local function corrections(width, current, buckets)
  local found = {}
  for _ = 1, following() do
    -- A time ahead of this server's clock is one of another server's.
    local bucket, tokens = math.min(math.floor(following() / width), current), following()
    if bucket >= current - buckets then found[#found + 1] = {bucket, tokens} end
  end
  return found
end

local function correct_shared(key, buckets, width)
  local known = redis.call('HMGET', key, 'sum', 'newest')
  local sum, newest = tonumber(known[1] or 0), tonumber(known[2] or nil)
  local current = newest or math.floor(now / width)
  local change = 0
  for _, correction in ipairs(corrections(width, current, buckets)) do
    if not (request.keep and newest) then
      local bucket, tokens = correction[1], correction[2]
      tokens = math.max(tokens, -tonumber(redis.call('HGET', key, bucket) or 0))
      redis.call('HINCRBY', key, bucket, tokens)
      change = change + tokens
    end
  end
  if change ~= 0 then
    redis.call('HSET', key, 'sum', sum + change, 'newest', current)
    redis.call('PEXPIRE', key, (buckets + 2) * width, 'NX')
  end
end

local function correct_single(key, buckets, width)
  local kept, _, newest, lines = unpack_window(redis.call('GET', key), math.floor(now / width), buckets)
  local current = newest or math.floor(now / width)
  local held = {}
  for place = 1, #kept, 2 do held[kept[place]] = kept[place + 1] end
  local changed = false
  for _, correction in ipairs(corrections(width, current, buckets)) do
    if not (request.keep and newest) then
      local bucket, tokens = correction[1], correction[2]
      tokens = math.max(tokens, -(held[bucket] or 0))
      held[bucket] = (held[bucket] or 0) + tokens
      add_to_bucket(kept, bucket, tokens)
      changed = true
    end
  end
  if changed then
    local left = redis.call('PTTL', key)
    local life = math.max(left, (buckets + 2) * width)
    redis.call('SET', key, cmsgpack.pack({current, kept, lines}), 'PX', life)
  end
end

if request.anew and life_of(KEYS[1]) then return 0 end
for number = 2, #KEYS do
  if request.anew then redis.call('DEL', KEYS[number]) end
  local correct = following() == 1 and correct_single or correct_shared
  local buckets = following()
  correct(KEYS[number], buckets, following())
end
if request.life then redis.call('SET', KEYS[1], server_id() .. request.life) end
return 1
