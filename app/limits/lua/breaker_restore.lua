-- Opens a breaker as PostgreSQL remembers it, where nothing at all is known here, or only what is older.
--
-- KEYS, ARGV  as in breaker.lua; then the reason, retry_at in ms, its turn there in us or "" where that is
--             not known
-- Gives 1 where it was restored.

local turn = tonumber(ARGV[FIRST + 2])
if redis.call('EXISTS', breaker) == 1 then
  local known = tonumber(redis.call('HGET', breaker, 'turn') or nil)
  if not (turn and known and known < turn) then return 0 end
end
if turn then redis.call('HSET', breaker, 'turn', turn) end
enter('open', ARGV[FIRST], rule.wait)
redis.call('HSET', breaker, 'retry_at', ARGV[FIRST + 1])
return 1
