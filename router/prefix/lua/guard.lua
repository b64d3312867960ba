end

-- Another program may have written the data here. A verb that fails on it runs once more after `mend`, which
-- deletes what no script of ours writes; should that not do, the nodes of this chain go. What the server itself refuses
-- (memory, rights, a replica) is returned as it is.
local REFUSED = {'OOM', 'READONLY', 'NOPERM', 'NOREPLICAS', 'MISCONF', 'CLUSTERDOWN', 'MOVED', 'NOSCRIPT'}

local function refused_by_server(failure)
  local why = type(failure) == 'table' and failure.err or tostring(failure)
  for _, word in ipairs(REFUSED) do
    if string.find(why, word, 1, true) then return true end
  end
  return false
end

local function is_hash(key, most) -- or nothing; what is neither is deleted
  local size = redis.pcall('HLEN', key)
  if type(size) == 'number' and size <= most then return size > 0 end
  call('DEL', key)
  return false
end

local function mend_holder(number)
  local live = call('HGET', LIVE, number)
  if live and not sound_live(live) then call('HDEL', LIVE, number) end
  local key = HOLDER .. number
  if not is_hash(key, MAX_FIELDS) then return end
  local state = call('HGETALL', key)
  for at = 2, #state, 2 do
    if not whole(state[at], MOST) then return call('DEL', key) end
  end
end

local function mend_node(key)
  if not is_hash(key, MAX_FIELDS) then return end
  local row = call('HGET', key, 'v')
  if not row or #row == 0 or #row % 4 ~= 0 or #row > S * 4 then return call('DEL', key) end
  local fields = call('HGETALL', key)
  for at = 1, #fields, 2 do
    local number = fields[at]
    if number ~= 'v' then
      if not whole(number, MOST) or not sound(fields[at + 1]) then
        call('HDEL', key, number)
      else
        mend_holder(number)
      end
    end
  end
end

local function each_node(work) -- of the chain that the verb was about
  for segment = 0, ceil(total / S) - 1 do
    local at, stop = segment * S, min(segment * S + S, total)
    while at < stop do
      local key = key_of(at)
      work(key)
      local row = call('HGET', key, 'v')
      local blocks = row and shared(row, at, stop) or 0
      if blocks == 0 then break end
      at = at + blocks
    end
  end
end

local function mend()
  is_hash(NAMES, math.huge)
  is_hash(LIVE, math.huge)
  for _, field in ipairs({'#epoch', '#last'}) do
    local value = call('HGET', NAMES, field)
    if value and not (#value <= 32 and string.find(value, '^%d+$') and (field == '#epoch' or whole(value, MOST))) then
      call('HDEL', NAMES, field)
    end
  end
  for _, name in ipairs(ARGV) do -- the holders' among them
    local number = #name <= 64 and call('HGET', NAMES, name)
    if number then
      if whole(number, MOST) then mend_holder(number) else call('HDEL', NAMES, name) end
    end
  end
  each_node(mend_node)
end

-- The keys of the verb: the nodes of its chain, and the holders.
local function clear()
  local keys = {}
  each_node(function(key) keys[#keys + 1] = key end)
  for _, name in ipairs(ARGV) do
    local number = #name <= 64 and call('HGET', NAMES, name)
    if number then keys[#keys + 1] = HOLDER .. number end
  end
  for _, key in ipairs(keys) do call('DEL', key) end
end

local done, answer = pcall(verb)
if not done and not refused_by_server(answer) then
  mend()
  left = 300000
  done, answer = pcall(verb)
  if not done and not refused_by_server(answer) then clear() end
end
if not done then error(answer, 0) end
return answer
