-- Opens a breaker as PostgreSQL remembers it, only where nothing at all is known here.
--
-- KEYS, ARGV  as in breaker.lua; then the reason, retry_at in ms
-- Gives 1 where it was restored.

if redis.call('EXISTS', breaker) == 1 then return 0 end
enter('open', ARGV[FIRST], rule.wait)
redis.call('HSET', breaker, 'retry_at', ARGV[FIRST + 1])
return 1
