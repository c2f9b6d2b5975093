-- Takes tokens for a batch of messages: all or nothing for each message over all its windows.
-- Promises: no sliding window of a limit's length ever holds more than its share of tokens, and
-- messages that got none are given times of their own, also when they come in different calls.
--
-- A window is a hash of buckets: bucket number -> tokens; "sum" of all buckets kept; "newest" bucket.
-- The newest bucket and the `buckets` before it count in full, which covers every sliding window that
-- ends now. Who waits stands in a line, one for each priority: "<line>:next" is the time of the first
-- place not yet promised, "<line>:start" that of the line's first. Promised times keep the window's
-- pace, so that tokens are used evenly and a late caller only shifts what follows.
--
-- KEYS  one for each window
-- ARGV  JSON: "now" in ms (without it the server's clock), "line" (its name), "windows" (for each: tokens
--       allowed, -1 where it is counted and never stopped; buckets; width in ms), "asks" (for each:
--       messages, then the numbers of their windows)
-- Gives now, then for each ask a list: tokens taken, then one wait in ms for each message left over.

local request = cjson.decode(ARGV[1])
local now = request.now
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local line_next, line_start = request.line .. ':next', request.line .. ':start'

local function bucket_names(first, last)
  local names = {}
  for bucket = first, last do
    names[#names + 1] = string.format('%d', bucket)
  end
  return names
end

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
    redis.call('HDEL', window.key, line_next, line_start)
    return
  end
  window.following = following
  if following > now then window.start = start end
end

local function open_window(key, shape)
  local window = {key = key, taken = 0, allowed = shape[1], buckets = shape[2], width = shape[3]}
  local known = redis.call('HMGET', key, 'sum', 'newest', line_next, line_start)
  local newest = tonumber(known[2] or nil)
  window.current = math.floor(now / window.width)
  window.sum = tonumber(known[1] or 0)
  if newest then
    -- A clock that was set back must not reopen buckets that are full.
    window.current = math.max(window.current, newest)
    if window.current > newest then drop_old(window, newest) end
  end
  window.moved = window.current ~= newest
  window.known = newest ~= nil
  read_line(window, tonumber(known[3] or nil), tonumber(known[4] or nil), newest)
  return window
end

local function free_tokens(window)
  if window.allowed < 0 then return math.huge end
  return math.max(0, window.allowed - window.sum)
end

-- Tokens that are free now are credit: so many waiters may be given times without moving past now.
local function find_line(window)
  if window.next then return end
  window.pace = window.allowed > 0 and (window.buckets + 2) * window.width / window.allowed or 0
  window.next = math.max(now - free_tokens(window) * window.pace, window.following or 0)
  local names = bucket_names(window.current - window.buckets, window.current)
  window.filled = redis.call('HMGET', window.key, unpack(names))
  window.filled[#names] = tonumber(window.filled[#names] or 0) + window.taken
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

local function promise(waiting, messages, answer)
  local walks = {}
  for position, window in ipairs(waiting) do
    find_line(window)
    walks[position] = walk_buckets(window)
  end
  for waiter = 1, messages do
    local places, due = {}, now
    for position, window in ipairs(waiting) do
      places[position] = next_place(window, walks[position], waiter)
      due = math.max(due, places[position])
    end
    answer[#answer + 1] = math.max(1, math.ceil(due - now))
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

local function serve(ask, windows)
  local messages, own = ask[1], {}
  local taken = messages
  for position = 2, #ask do
    own[position - 1] = windows[ask[position]]
    taken = math.min(taken, free_tokens(windows[ask[position]]))
  end
  for _, window in ipairs(own) do
    window.sum = window.sum + taken
    window.taken = window.taken + taken
    if window.filled then
      window.filled[#window.filled] = window.filled[#window.filled] + taken
    end
  end
  local answer = {taken}
  if taken < messages then promise(stopping(own), messages - taken, answer) end
  return answer
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

local windows, answers = {}, {now}
for index, key in ipairs(KEYS) do windows[index] = open_window(key, request.windows[index]) end
for index, ask in ipairs(request.asks) do answers[index + 1] = serve(ask, windows) end
for _, window in ipairs(windows) do
  local whole = (window.buckets + 2) * window.width
  if window.known or window.taken > 0 then store_counts(window, whole) end
  if window.promised then store_line(window, whole) end
end
return answers
