-- Takes tokens for a batch of messages: all or nothing for each message over all its windows.
-- Promises: no sliding window of a limit's length ever holds more than its share of tokens, and
-- messages that got none are given times of their own, also when they come in different calls.
--
-- Who waits stands in a line, one for each priority: "next" is the time of the first place not yet
-- promised, "start" that of the line's first. Promised times keep the window's pace, so that tokens are
-- used evenly and a late caller only shifts what follows. Messages that only a gateway's own windows
-- stop are told as spilled, and promised nothing, where the caller can send them elsewhere.
--
-- KEYS  the life; one for each shared window; one for each recipient's window
-- ARGV  JSON: "now" in ms (without it the server's clock); "life" that the caller knows (without it none
--       is asked for); "line" (its name); "urgent" (waits for no restoring); "spill"; "shared" (for each
--       shared window: tokens allowed, -1 where it is counted and never stopped; buckets; width in ms; 1
--       where it is the gateway's own); "single" (likewise for shapes of recipients' windows); "groups"
--       (for each: numbers of shared windows); "asks" (flat; for each: group, messages, how many windows
--       of a recipient, then for each of these its shape and its number)
-- Gives now, then "lost", or "moved" with the life, or "closed" with ms to wait; or "taken" with a list
-- of tokens for each ask, of spilled messages for each, of waits in ms one for each message left over, of
-- windows that are full for the first time in their length, and of the windows that decide each wait:
-- shared ones by their numbers, recipients' by those of their shapes below zero.

local request = cjson.decode(ARGV[1])
local now = the_time(request.now)
local line = request.line
local line_next, line_start = line .. ':next', line .. ':start'
local shared_count = #request.shared

-- Buckets that no sliding window reaches any more leave the sum and the hash.
local function drop_old(window, newest)
  local last = math.min(window.current - window.buckets - 1, newest)
  local names = bucket_names(newest - window.buckets, last)
  if #names == 0 then return end
  for _, tokens in ipairs(redis.call('HMGET', window.key, unpack(names))) do
    window.sum = window.sum - (tonumber(tokens or 0))
  end
  redis.call('HDEL', window.key, unpack(names))
end

-- A line of which too few came back was left by those who stood in it (cancelled, sent elsewhere). A
-- window shorter than the pause between two claims is often empty though, so there nobody must have come.
local function is_abandoned(window, start, newest)
  local whole = (window.buckets + 1) * window.width
  if start + 2 * whole >= now or window.sum >= window.allowed / 2 then return false end
  return whole > 60000 or now - newest * window.width > 15000
end

local function read_line(window, following, start, newest)
  if not following then return end
  if is_abandoned(window, start, newest or 0) then
    if window.lines then
      window.lines[line] = nil
    else
      redis.call('HDEL', window.key, line_next, line_start)
    end
    return
  end
  window.following = following
  if following > now then window.start = start end
end

local function new_window(key, shape)
  local window = {key = key, taken = 0, allowed = shape[1], buckets = shape[2], width = shape[3]}
  window.own = shape[4] == 1
  window.current = math.floor(now / window.width)
  return window
end

-- A clock that was set back must not reopen buckets that are full.
local function place_in_time(window, newest)
  if newest then window.current = math.max(window.current, newest) end
  window.moved = window.current ~= newest
  window.known = newest ~= nil
end

local function open_shared(number)
  local window = new_window(KEYS[number + 1], request.shared[number])
  local known = redis.call('HMGET', window.key, 'sum', 'newest', line_next, line_start, 'told')
  local newest = tonumber(known[2] or nil)
  window.number = number
  window.sum = tonumber(known[1] or 0)
  window.told = tonumber(known[5] or 0)
  place_in_time(window, newest)
  if newest and window.moved then drop_old(window, newest) end
  read_line(window, tonumber(known[3] or nil), tonumber(known[4] or nil), newest)
  return window
end

local function open_single(number, shape, packed)
  local window = new_window(KEYS[shared_count + 1 + number], request.single[shape])
  local newest
  window.number = -shape
  window.kept, window.sum, newest, window.lines = unpack_window(packed, window.current, window.buckets)
  window.told = window.lines.told or 0
  place_in_time(window, newest)
  local standing = window.lines[line]
  if standing then read_line(window, standing[1], standing[2], newest) end
  return window
end

local function free_tokens(window)
  if window.allowed < 0 then return math.huge end
  return math.max(0, window.allowed - window.sum)
end

local function read_buckets(window)
  local filled = {}
  if window.kept then
    for position = 1, window.buckets + 1 do filled[position] = 0 end
    for position = 1, #window.kept, 2 do
      local place = window.kept[position] - window.current + window.buckets + 1
      if place >= 1 then filled[place] = filled[place] + window.kept[position + 1] end
    end
  else
    local names = bucket_names(window.current - window.buckets, window.current)
    filled = redis.call('HMGET', window.key, unpack(names))
  end
  filled[window.buckets + 1] = tonumber(filled[window.buckets + 1] or 0) + window.taken
  return filled
end

-- Tokens that are free now are credit: so many waiters may be given times without moving past now.
local function find_line(window)
  if window.next then return end
  window.pace = window.allowed > 0 and (window.buckets + 2) * window.width / window.allowed or 0
  window.next = math.max(now - free_tokens(window) * window.pace, window.following or 0)
  window.filled = read_buckets(window)
end

-- Walks over the buckets from the oldest: when will so many of the window's tokens be free again?
local function walk_buckets(window)
  local index, freed = 0, 0
  return function(tokens)
    while freed < tokens and index < #window.filled do
      index = index + 1
      freed = freed + tonumber(window.filled[index] or 0)
    end
    return (window.current + index) * window.width
  end
end

local function next_place(window, walk, waiter)
  local tokens = window.sum - window.allowed + waiter
  if tokens <= 0 then return window.next end
  return math.max(window.next, walk(tokens))
end

-- The window that makes a message wait longest decides. Lines of windows that would have let it go
-- much earlier stay as they are: by then it will not compete with those who wait there now.
local function move_lines(waiting, places, due)
  for position, window in ipairs(waiting) do
    if due <= math.max(places[position], now) + (window.buckets + 1) * window.width then
      window.next = places[position] + window.pace
      window.start = window.start or due
      window.promised = true
    end
  end
end

local function promise(waiting, messages, waits, deciding)
  local walks = {}
  for position, window in ipairs(waiting) do
    find_line(window)
    walks[position] = walk_buckets(window)
  end
  for waiter = 1, messages do
    local places, due, last = {}, now, waiting[1]
    for position, window in ipairs(waiting) do
      places[position] = next_place(window, walks[position], waiter)
      if places[position] > due then due, last = places[position], window end
    end
    waits[#waits + 1] = math.max(1, math.ceil(due - now))
    deciding[#deciding + 1] = last.number
    move_lines(waiting, places, due)
  end
end

local function stopping(windows)
  local found = {}
  for _, window in ipairs(windows) do
    if window.allowed >= 0 then found[#found + 1] = window end
  end
  return found
end

local exceeded = {}

-- Who watches is told once in a window's length that it is full.
local function tell_full(windows, messages)
  for _, window in ipairs(windows) do
    if free_tokens(window) < messages and now - window.told >= window.buckets * window.width then
      window.told = now
      window.telling = true
      exceeded[#exceeded + 1] = window.number
    end
  end
end

local function take_from(windows, taken)
  for _, window in ipairs(windows) do
    window.sum = window.sum + taken
    window.taken = window.taken + taken
    if window.filled then
      window.filled[#window.filled] = window.filled[#window.filled] + taken
    end
  end
end

-- Gives how many messages take tokens, and how many of the others only the gateway itself stops.
local function serve(windows, messages, waits, deciding)
  local taken, elsewhere = messages, messages
  for _, window in ipairs(windows) do
    local free = free_tokens(window)
    taken = math.min(taken, free)
    if not window.own then elsewhere = math.min(elsewhere, free) end
  end
  if taken < messages then tell_full(windows, messages) end
  take_from(windows, taken)
  local spilled = request.spill and elsewhere - taken or 0
  local left = messages - taken - spilled
  if left > 0 then promise(stopping(windows), left, waits, deciding) end
  return taken, spilled
end

-- NX and GT together: never shorten the life that a line far ahead has given the key.
local function keep(key, milliseconds)
  redis.call('PEXPIRE', key, milliseconds, 'NX')
  redis.call('PEXPIRE', key, milliseconds, 'GT')
end

local function store_counts(window, whole)
  if window.taken > 0 and not window.known then
    redis.call('HSET', window.key, window.current, window.taken, 'sum', window.sum, 'newest', window.current)
    redis.call('PEXPIRE', window.key, whole)
    return
  end
  if window.taken > 0 then redis.call('HINCRBY', window.key, window.current, window.taken) end
  if window.taken > 0 or window.moved then
    redis.call('HSET', window.key, 'sum', window.sum, 'newest', window.current)
  end
  if window.taken > 0 and window.moved then keep(window.key, whole) end
end

local function store_line(window, whole)
  redis.call('HSET', window.key, line_next, string.format('%.3f', window.next),
             line_start, string.format('%.3f', window.start))
  keep(window.key, math.ceil(math.max(0, window.next - now) + 2 * whole))
end

local function store_shared(window)
  local whole = (window.buckets + 2) * window.width
  if window.known or window.taken > 0 then store_counts(window, whole) end
  if window.promised then store_line(window, whole) end
  if window.telling then
    redis.call('HSET', window.key, 'told', window.told)
    keep(window.key, whole)
  end
end

local function store_single(window)
  if window.taken == 0 and not window.promised and not window.telling then return end
  local whole = (window.buckets + 2) * window.width
  if window.taken > 0 then add_to_bucket(window.kept, window.current, window.taken) end
  if window.promised then window.lines[line] = {window.next, window.start} end
  if window.telling then window.lines.told = window.told end
  local life = whole
  for name, standing in pairs(window.lines) do
    if name ~= 'told' then life = math.max(life, math.ceil(standing[1] - now) + 2 * whole) end
  end
  redis.call('SET', window.key, cmsgpack.pack({window.current, window.kept, window.lines}), 'PX', life)
end

if request.life then
  local life = life_of(KEYS[1])
  if not life then return {now, 'lost'} end
  if life ~= request.life then return {now, 'moved', life} end
  local opens_at = tonumber(string.match(life, '(%d+)$'))
  if now < opens_at and not request.urgent then return {now, 'closed', opens_at - now} end
end

local shared, single, packed = {}, {}, {}
for number = 1, shared_count do shared[number] = open_shared(number) end
for first = shared_count + 2, #KEYS, 1000 do
  local some = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
  for position, value in ipairs(some) do packed[first - shared_count - 2 + position] = value end
end

local groups = {}
for number, members in ipairs(request.groups) do
  local windows = {}
  for place, member in ipairs(members) do windows[place] = shared[member] end
  groups[number] = windows
end

-- Whoever was sent nothing lately is most: then his window is written without being made up first. Gives
-- whether that was done.
local function serve_new(windows, messages, shape, number)
  if packed[number] or single[number] then return false end
  local figures = request.single[shape]
  if figures[1] >= 0 and figures[1] < messages then return false end
  for _, window in ipairs(windows) do
    if free_tokens(window) < messages then return false end
  end
  take_from(windows, messages)
  local current = math.floor(now / figures[3])
  packed[number] = cmsgpack.pack({current, {current, messages}, {}})
  redis.call('SET', KEYS[shared_count + 1 + number], packed[number], 'PX', (figures[2] + 2) * figures[3])
  return true
end

local taken, spilled, waits, deciding = {}, {}, {}, {}
local asks, position = request.asks, 1
while position <= #asks do
  local windows, messages, own = groups[asks[position]], asks[position + 1], asks[position + 2]
  position = position + 3
  if own == 1 and serve_new(windows, messages, asks[position], asks[position + 1]) then
    taken[#taken + 1], spilled[#spilled + 1] = messages, 0
  else
    if own > 0 then windows = {unpack(windows)} end
    for place = position, position + 2 * own - 1, 2 do
      local shape, number = asks[place], asks[place + 1]
      single[number] = single[number] or open_single(number, shape, packed[number])
      windows[#windows + 1] = single[number]
    end
    taken[#taken + 1], spilled[#spilled + 1] = serve(windows, messages, waits, deciding)
  end
  position = position + 2 * own
end
for _, window in ipairs(shared) do store_shared(window) end
for _, window in pairs(single) do store_single(window) end
return {now, 'taken', taken, spilled, waits, exceeded, deciding}
