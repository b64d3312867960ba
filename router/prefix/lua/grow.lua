-- Finding the nodes of a chain and making those that are missing.
local refused = 0

-- Like `path`; each node also has the holder's value. Stops where it may not grow.
local function grown(at, stop, may_grow)
  local nodes = {}
  while at < stop do
    local key = key_of(at)
    local found = call('HMGET', key, 'v', number)
    local row = found[1]
    local blocks = row and shared(row, at, stop) or 0
    if blocks < stop - at and (not row or (blocks * 4 == #row and call('HLEN', key) <= WIDE + 1)) then
      if may_grow then -- the rest of a chain joins its last node, unless many others have that
        call('HSET', key, 'v', sub(row_of, at * 4 + 1, stop * 4))
        blocks = stop - at
      else
        refused = 1
      end
    end
    if blocks == 0 then break end
    nodes[#nodes + 1] = {key, at, blocks, found[2]}
    at = at + blocks
    if refused == 1 then break end
  end
  return nodes
end

-- A holder that is new to a wide node pays by looking at two others there, and removing those that are dead. A node that
-- is wider than any fleet is another hand's, and goes.
local function tidy(key)
  local size = call('HLEN', key)
  if size <= WIDE then return end
  if size > MAX_FIELDS then return call('DEL', key) end
  local some = call('HRANDFIELD', key, 2, 'WITHVALUES')
  for place = 1, #some, 2 do
    local other = some[place]
    if other ~= 'v' and other ~= number then
      local live = call('HGET', LIVE, other)
      if not live then call('HDEL', key, other) end
    end
  end
end
