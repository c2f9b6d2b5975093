-- Counts results of tries at a gateway.
-- Promises: opens a closed breaker when its rule is broken, closes one after so many good probes in a
-- row, opens it again, for longer, at a probe's fault; each change is told once, to whoever caused it.
--
-- KEYS  as in breaker.lua; then, where there is something to count for people, the gateway's ring
-- ARGV  as in breaker.lua; then good, faults, how many of them were probes, good probes that close;
--       then the ring's step in ms, how many steps it holds, and what is to be added in the present one
-- Gives its turn in us, the state before, the state after, the reason; then until when, where it opened.

local good, faults = tonumber(ARGV[FIRST]), tonumber(ARGV[FIRST + 1])
local probes, proof = tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3])

-- Adds to the present step of the ring; each step is one field, "step count count …", used again when the
-- ring has come round.
local function count_vitals()
  local width, steps = tonumber(ARGV[FIRST + 4]), tonumber(ARGV[FIRST + 5])
  local step, known = math.floor(now / width), {}
  local field = step % steps
  for figure in string.gmatch(redis.call('HGET', KEYS[2], field) or '', '%d+') do
    known[#known + 1] = tonumber(figure)
  end
  if known[1] ~= step then known = {} end
  local counts = {string.format('%d', step)}
  for place = FIRST + 6, #ARGV do
    local count = (known[place - FIRST - 4] or 0) + tonumber(ARGV[place])
    counts[#counts + 1] = string.format('%d', count)
  end
  redis.call('HSET', KEYS[2], field, table.concat(counts, ' '))
  redis.call('PEXPIRE', KEYS[2], DAY)
end

-- Faults without a success between: a gateway that went down under load shows here first, while the
-- successes of the last minute still outnumber them.
local function count_streak()
  if good > 0 then
    redis.call('HDEL', breaker, 'streak', 'streak_since')
    return 0
  end
  local known = redis.call('HMGET', breaker, 'streak', 'streak_since')
  local streak, since = tonumber(known[1] or 0), tonumber(known[2] or now)
  if now - since > rule.bucket * rule.buckets then streak, since = 0, now end
  redis.call('HSET', breaker, 'streak', streak + faults, 'streak_since', since)
  return streak + faults
end

-- Adds to the ring of buckets, and sums up its last `rule.buckets` and its last two.
local function count_results()
  local current, places, sums = math.floor(now / rule.bucket), {}, {0, 0, 0, 0}
  for place = 0, rule.buckets do places[place + 1] = 'results:' .. place end
  for _, entry in ipairs(redis.call('HMGET', breaker, unpack(places))) do
    local bucket, well, badly = string.match(entry or '', '(%d+) (%d+) (%d+)')
    if bucket and tonumber(bucket) >= current - rule.buckets then
      sums[1], sums[2] = sums[1] + well, sums[2] + badly
      if tonumber(bucket) >= current - 1 then sums[3], sums[4] = sums[3] + well, sums[4] + badly end
    end
  end
  local place = 'results:' .. current % (rule.buckets + 1)
  local bucket, well, badly = string.match(redis.call('HGET', breaker, place) or '', '(%d+) (%d+) (%d+)')
  if tonumber(bucket) ~= current then well, badly = 0, 0 end
  redis.call('HSET', breaker, place, string.format('%d %d %d', current, well + good, badly + faults))
  return sums[1] + good, sums[2] + faults, sums[3] + good, sums[4] + faults
end

local function broken_rule()
  local streak = count_streak()
  local well, badly, well_lately, badly_lately = count_results()
  if faults == 0 then return nil end
  if streak >= rule.faults then return string.format('%d failures in a row', streak) end
  if badly >= rule.faults and badly >= rule.share * (well + badly) then
    return string.format('%d of %d tries failed within %d s', badly, well + badly,
                         rule.bucket * rule.buckets / 1000)
  end
  local lately = well_lately + badly_lately
  if lately >= rule.rate_results and badly_lately >= rule.rate_share * lately then
    return string.format('%d of the last %d tries failed', badly_lately, lately)
  end
end

local function free_slots()
  local freed = 0
  for slot = 1, rule.probes do
    if freed < probes and redis.call('HDEL', breaker, 'slot:' .. slot) == 1 then freed = freed + 1 end
  end
end

local function count_proofs()
  if faults > 0 then
    redis.call('HSET', breaker, 'proved', 0)
    return 0
  end
  return redis.call('HINCRBY', breaker, 'proved', math.min(good, probes))
end

if KEYS[2] then count_vitals() end
local before, _, wait, turn = read_state()
if before == 'closed' then
  local reason = broken_rule()
  if reason then
    return {enter('open', reason, rule.wait), before, 'open', reason, now + rule.wait}
  end
  if not turn then redis.call('HSET', breaker, 'turn', micros) end
  redis.call('PEXPIRE', breaker, DAY)
elseif probes > 0 then
  -- Late results of what was sent before it opened are no news; only probes and urgent tries count.
  free_slots()
  if count_proofs() >= proof then
    return {close(), before, 'closed', string.format('%d good probes in a row', proof)}
  end
  if before == 'half_open' and faults > 0 then
    return {enter('open', 'A probe failed', longer(wait)), before, 'open', 'A probe failed', now + longer(wait)}
  end
end
return {micros, before, before, ''}
