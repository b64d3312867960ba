-- Who holds how much of a chain: the deepest holders, and those of `also` that hold anything. Changes nothing.
-- The holders of a chain's segments are nested, but for what expired or was corrected: so the sizes of the segments say
-- where holders end, and only these places are read, the deepest first. What is returned was seen at its depth.
-- ARGV: chain, seconds now, names of `also`...
local DEEPEST, READ_WHOLE, SAMPLED, READS, FALLS, CHECKS = 16, 64, 20, 24, 24, 256
local chain, now = ARGV[1], tonumber(ARGV[2])
local total = #chain / 8
local NEVER = math.huge

local sizes, paths = {}, {}
local function size(segment) -- holders in the segment's first node
  local known = sizes[segment]
  if not known then
    known = max(0, call('HLEN', key_of(chain, segment * S)) - 1)
    sizes[segment] = known
  end
  return known
end

local function nodes_of(segment)
  local known = paths[segment]
  if not known then
    known = path(chain, segment * S, min(segment * S + S, total))
    paths[segment] = known
  end
  return known
end

-- Of a node that begins at `start`: blocks held, their last one's stamp, and blocks held or pending.
local function extent(value, start, horizon, after)
  local pieces, at = read('B', value)
  local held, stamp = 0, 0
  for _ = 1, pieces do
    local stop, _, base
    stop, _, base, at = read('>BHI6', value, at)
    local alive = min(stop, base - horizon - start)
    if alive > held then held, stamp = alive, base - start - alive + 1 end
  end
  local reach = held
  while at <= #value do
    local stop, _, expires
    stop, _, expires, at = read('>BI6I6', value, at)
    if stop > reach and expires > after then reach = stop end
  end
  return held, stamp, reach
end

-- How deep a holder has the chain, up to segment `top`; and the stamp there. Pending counts if it expires after `after`.
-- Most end where others do, in the segment that was read last: that one is looked at first.
local falls, guess = FALLS, nil
local function depth_of(number, horizon, top, after)
  falls = falls - 1
  if falls < 0 then return 0, 0 end
  local low, high, mid = -1, top, guess
  while low < high do
    if not mid or mid <= low or mid > high then mid = ceil((low + high) / 2) end
    local value = call('HGET', key_of(chain, mid * S), number)
    local _, _, reach = 0, 0, 0
    if value then _, _, reach = extent(value, mid * S, horizon, after) end
    if reach > 0 then low = mid else high = mid - 1 end
    mid = low == guess and low + 1 or nil
  end
  local depth, last, pending = 0, 0, false
  if low < 0 then return 0, 0 end
  for _, node in ipairs(nodes_of(low)) do
    local value = call('HGET', node[1], number)
    if not value then break end
    local held, stamp, reach = extent(value, node[2], horizon, after)
    depth, last, pending = node[2] + min(reach, node[3]), stamp + max(0, held - node[3]), reach > held
    if reach < node[3] then break end
  end
  return depth, last, pending
end

-- The same as two depths: blocks held, the last one's stamp, and blocks held or pending.
local function depths_of(number, horizon, top)
  local reach, stamp, pending = depth_of(number, horizon, top, now)
  if not pending then return reach, stamp, reach end
  local blocks
  blocks, stamp = depth_of(number, horizon, top, NEVER)
  return blocks, stamp, reach
end

-- After a correction, what is older than it may hang below a hole: look at every node above.
local checks = CHECKS
local function intact(number, horizon, depth)
  local whole = 0
  for segment = 0, floor((depth - 1) / S) do
    for _, node in ipairs(nodes_of(segment)) do
      checks = checks - 1
      local value = checks >= 0 and call('HGET', node[1], number)
      if not value then return whole end
      local held = extent(value, node[2], horizon, NEVER)
      whole = node[2] + min(held, node[3])
      if held < node[3] then return min(whole, depth) end
    end
  end
  return min(whole, depth)
end

local epoch = call('HGET', NAMES, '#epoch')
if total == 0 or size(0) == 0 then return {epoch} end
local low, high = 0, ceil(total / S) - 1
while low < high do
  local mid = ceil((low + high) / 2)
  if size(mid) > 0 then low = mid else high = mid - 1 end
end
local deepest = low

local seen, known, found = {}, 0, {}
local function take(number, live, blocks, stamp, reach)
  local _, cut = read('>I6I6', live)
  if blocks > 0 and stamp <= cut then
    local whole = intact(number, read('>I6', live), blocks)
    if reach == blocks then reach = whole end
    blocks = whole
  end
  reach = max(reach, blocks)
  if reach > 0 then found[#found + 1] = {sub(live, 13), blocks, reach, number} end
end

local function gather(segment)
  local nodes = nodes_of(segment)
  for place = #nodes, 1, -1 do
    local key, start, common = nodes[place][1], nodes[place][2], nodes[place][3]
    local fields
    if call('HLEN', key) <= READ_WHOLE then fields = call('HGETALL', key)
    else fields = call('HRANDFIELD', key, SAMPLED, 'WITHVALUES') end
    local numbers, values = {}, {}
    for at = 1, #fields, 2 do
      local number = fields[at]
      if number ~= 'v' and not seen[number] then
        seen[number] = true
        known = known + 1
        numbers[#numbers + 1] = number
        values[#values + 1] = fields[at + 1]
      end
    end
    local lives = #numbers > 0 and call('HMGET', LIVE, unpack(numbers)) or {}
    for at, number in ipairs(numbers) do
      local live = lives[at]
      if live then
        local horizon = read('>I6', live)
        local held, stamp, reach = extent(values[at], start, horizon, now)
        local blocks = 0
        reach = reach > 0 and start + min(reach, common) or 0
        if held > 0 then
          blocks, stamp = start + min(held, common), stamp + max(0, held - common)
        elseif start > 0 and reach > 0 then
          blocks, stamp = depth_of(number, horizon, segment, NEVER)
        elseif start > 0 then
          blocks, stamp, reach = depths_of(number, horizon, segment)
        end
        take(number, live, blocks, stamp, reach)
      end
    end
  end
end

local segment, reads = deepest, 0
while reads < READS do
  guess = nil
  gather(segment)
  guess = segment
  reads = reads + 1
  if #found >= DEEPEST or segment == 0 or size(0) <= known then break end
  local less, step, more = segment, 1, segment - 1
  while size(more) <= known do
    less, more, step = more, max(0, more - step), step * 2
  end
  while less - more > 1 do
    local mid = floor((less + more) / 2)
    if size(mid) > known then more = mid else less = mid end
  end
  segment = more
end

local wanted = {}
if #ARGV > 2 then
  local names = {}
  for at = 3, #ARGV do names[#names + 1] = ARGV[at] end
  local numbers, ask = call('HMGET', NAMES, unpack(names)), {}
  for at, number in ipairs(numbers) do
    if number then
      wanted[number] = true
      if not seen[number] then ask[#ask + 1] = number end
    end
  end
  if #ask > 0 then
    local lives = call('HMGET', LIVE, unpack(ask))
    local roots = call('HMGET', key_of(chain, 0), unpack(ask))
    falls = falls + 2 * #ask
    for at, number in ipairs(ask) do
      if lives[at] and roots[at] then
        local horizon = read('>I6', lives[at])
        local blocks, stamp, reach = depths_of(number, horizon, deepest)
        take(number, lives[at], blocks, stamp, reach)
      end
    end
  end
end
if #found == 0 then return {epoch} end

local numbers = {}
for at, each in ipairs(found) do numbers[at] = each[4] end
local roots = call('HMGET', key_of(chain, 0), unpack(numbers))
for at, each in ipairs(found) do
  if not roots[at] then -- its first blocks are gone: nothing of it can be relied upon
    if each[3] == each[2] then each[3] = 0 end
    each[2] = 0
  end
end
table.sort(found, function(a, b)
  if a[3] ~= b[3] then return a[3] > b[3] end
  return a[2] > b[2]
end)
local reply = {epoch}
for place, each in ipairs(found) do
  if each[3] > 0 and (place <= DEEPEST or wanted[each[4]]) then
    reply[#reply + 1] = each[1]
    reply[#reply + 1] = each[2]
    reply[#reply + 1] = each[3]
    reply[#reply + 1] = tonumber(each[4])
  end
end
return reply
