-- Closes a claim's entry for ever and tells what it says.
-- Promises: after this nothing can be written to it, also where there was no entry; asked again, it
-- tells the same. What was written in another life of the server, or by nobody, is not told.
--
-- KEYS  the entry, as in ledger_write.lua
-- ARGV  ttl in ms
-- Gives the lines, or nil where the entry was lost.

local key, ttl = KEYS[1], ARGV[1]
local epoch = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

if redis.call('GETRANGE', key, 1, 40) ~= epoch then
  redis.call('SET', key, 'c', 'PX', ttl)
  return nil
end
redis.call('SETRANGE', key, 0, 'c')
redis.call('PEXPIRE', key, ttl)
return redis.call('GETRANGE', key, 81, -1)
