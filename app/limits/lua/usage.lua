-- Tells what shared windows hold now, without changing any.
--
-- KEYS  the life; one for each window, as in take.lua
-- ARGV  JSON: "now" in ms (without it the server's clock); "windows" (flat; for each: buckets, width in
--       ms); "whole" to be told each bucket; "life" to be told nothing where the counts are lost
-- Gives nil where they are lost; else for each window the tokens, or with "whole" the times in ms when
-- its buckets begin and their tokens, in turn.

local request = cjson.decode(ARGV[1])
local now = the_time(request.now)
if request.life and not life_of(KEYS[1]) then return nil end

local function read(key, buckets, width)
  local newest = tonumber(redis.call('HGET', key, 'newest') or nil)
  local held, sum = {}, 0
  if newest then
    local first = math.max(math.floor(now / width), newest) - buckets
    local names = bucket_names(first, newest)
    if #names > 0 then
      for place, tokens in ipairs(redis.call('HMGET', key, unpack(names))) do
        if tokens and tonumber(tokens) > 0 then
          held[#held + 1] = (first + place - 1) * width
          held[#held + 1] = tonumber(tokens)
          sum = sum + tonumber(tokens)
        end
      end
    end
  end
  return request.whole and held or sum
end

local answers = {}
for number = 2, #KEYS do
  local place = 2 * (number - 1)
  answers[number - 1] = read(KEYS[number], request.windows[place - 1], request.windows[place])
end
return answers
