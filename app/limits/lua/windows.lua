-- Sliding windows of tokens, as the scripts behind this one read and write them.
--
-- A window is buckets: bucket number -> tokens. The newest bucket and the `buckets` before it count in
-- full, which covers every sliding window that ends now. A window that many messages share is a hash,
-- with "sum" of all buckets kept and "newest" bucket beside them. One recipient's is a single packed
-- string, {newest, {bucket, tokens, …}, lines}, since there are as many as messages.
--
-- The life of all windows is a key of its own: the server's run id, then when the counts were restored,
-- then from when on they hold for all. Without it, or with another server's, the counts are lost.

local function the_time(given)
  if given then return given end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function server_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- Gives the life that the counts are in, or nil where they are lost.
local function life_of(key)
  local life = redis.call('GET', key)
  if life and string.sub(life, 1, 40) == server_id() then return life end
end

local function bucket_names(first, last)
  local names = {}
  for bucket = first, last do
    names[#names + 1] = string.format('%d', bucket)
  end
  return names
end

-- Reads a packed window; buckets that no sliding window reaches any more are left out.
local function unpack_window(packed, current, buckets)
  local kept, sum, newest, lines = {}, 0, nil, {}
  if packed then
    local state = cmsgpack.unpack(packed)
    newest, lines = state[1], state[3]
    current = math.max(current, newest)
    for position = 1, #state[2], 2 do
      local bucket, tokens = state[2][position], state[2][position + 1]
      if bucket >= current - buckets then
        kept[#kept + 1] = bucket
        kept[#kept + 1] = tokens
        sum = sum + tokens
      end
    end
  end
  return kept, sum, newest, lines
end

local function add_to_bucket(kept, bucket, tokens)
  for position = #kept - 1, 1, -2 do
    if kept[position] == bucket then
      kept[position + 1] = kept[position + 1] + tokens
      return
    end
  end
  kept[#kept + 1] = bucket
  kept[#kept + 1] = tokens
end
