-- Writes lines into a claim's entry, or opens it, or writes all of it again.
-- Promises: nothing is written once the claim is closed or another worker has opened it; lines are
-- added only to an entry that holds everything the worker wrote before, in this life of the server.
--
-- An entry is a string: "o" (open) or "c" (closed), the epoch (40 characters), its owner (32), how often
-- that owner has written all of it (8), then lines. The epoch is the server's run id: after a restart
-- the last second of what was written may be missing, so what an older epoch says proves nothing.
--
-- KEYS  the entry
-- ARGV  owner; writing, 8 digits; "lines" to add them, "whole" to write everything; the lines; ttl in ms
-- Gives "written", "closed" or "lost".

local key, owner, writing, lines, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local epoch = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local header = redis.call('GETRANGE', key, 0, 80)

if header ~= '' then
  if string.sub(header, 1, 1) == 'c' or string.sub(header, 42, 73) ~= owner then return 'closed' end
  local written = string.sub(header, 74, 81)
  if string.sub(header, 2, 41) == epoch and written >= writing then
    -- A late repetition of an older writing may add to what is there, never replace it.
    redis.call('APPEND', key, lines)
    return 'written'
  end
end
if ARGV[3] == 'lines' then return 'lost' end
redis.call('SET', key, 'o' .. epoch .. owner .. writing .. lines, 'PX', ttl)
return 'written'
