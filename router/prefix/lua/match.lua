-- How much of a chain each holder has: the deepest holders, and those of `also` that hold anything. Changes nothing.
-- The holders of a chain's segments are nested, but for what expired or was corrected: so the sizes of the segments say
-- where holders end, and only these places are read, the deepest first. What is returned was seen at its depth.
-- It costs by calls, and by bytes made in Lua, which are collected here too: so holders are asked about together.
-- ARGV: the chain's heads and blocks, seconds now, names of `also`...
local DEEPEST, PLACES, ENOUGH = 16, 4, 8 -- at most 16 holders; after 4 places that were read, 8 are enough
local READ_WHOLE, SAMPLED, READS, PROBES, CHECKS = 64, 12, 24, 32, 256
about(ARGV[1], ARGV[2])
local now = tonumber(ARGV[3])
local NEVER = math.huge

local sizes, paths = {}, {}
local function size(segment) -- holders in the segment's first node
  local known = sizes[segment]
  if not known then
    known = max(0, call('HLEN', key_of(segment * S)) - 1)
    sizes[segment] = known
  end
  return known
end

-- The chain's nodes in a segment, one after the other: {key, first block, blocks in common, all fields unless there are
-- too many}; nil behind the last one.
local function next_node(segment, place)
  local nodes = paths[segment]
  if not nodes then
    nodes = {}
    paths[segment] = nodes
  end
  local node = nodes[place]
  if node ~= nil then return node or nil end
  local before, stop = nodes[place - 1], min(segment * S + S, total)
  local at = before and before[2] + before[3] or segment * S
  nodes[place] = false
  if at >= stop then return nil end
  local key = key_of(at)
  local width = place == 1 and size(segment) or call('HLEN', key) - 1
  local fields, row = width <= READ_WHOLE and call('HGETALL', key), nil
  if fields then
    for field = 1, #fields, 2 do
      if fields[field] == 'v' then
        row = fields[field + 1]
        break
      end
    end
  else
    row = call('HGET', key, 'v')
  end
  local blocks = row and shared(row, at, stop) or 0
  if blocks > 0 then nodes[place] = {key, at, blocks, fields} end
  return nodes[place] or nil
end

local function nodes_of(segment)
  local nodes, place = {}, 1
  local node = next_node(segment, place)
  while node do
    nodes[place], place = node, place + 1
    node = next_node(segment, place)
  end
  return nodes
end

-- Of a node that begins at `start`: blocks held, their last one's stamp, and blocks held or pending.
local function extent(value, start, horizon, after)
  if #value > MAX_VALUE then error('unsound') end
  if #value == 10 then -- one piece and no more
    local _, stop, _, base = read('>BBHI6', value)
    local alive = min(stop, base - horizon - start)
    if alive <= 0 then return 0, 0, 0 end
    return alive, base - start - alive + 1, alive
  end
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

local names = call('HMGET', NAMES, '#epoch', unpack(ARGV, 4))
local epoch = names[1]
if epoch and (#epoch > 32 or not string.find(epoch, '^%d+$')) then error('unsound') end
if total == 0 or size(0) == 0 then return cmsgpack.pack({epoch or '', {}}) end
local low, high = 0, ceil(total / S) - 1
while low < high do
  local mid = ceil((low + high) / 2)
  if size(mid) > 0 then low = mid else high = mid - 1 end
end
local deepest = low

local horizons, cuts, lives = {}, {}, {}
local function meet(numbers)
  if #numbers == 0 then return end
  for at, live in ipairs(call('HMGET', LIVE, unpack(numbers))) do
    if live then
      local number = numbers[at]
      lives[number] = live
      horizons[number], cuts[number] = read('>I6I6', live)
    end
  end
end

-- After a correction, what is older than it may hang below a hole: look at every node above.
local checks = CHECKS
local function intact(number, depth)
  local whole = 0
  for segment = 0, floor((depth - 1) / S) do
    for _, node in ipairs(nodes_of(segment)) do
      checks = checks - 1
      local value = checks >= 0 and call('HGET', node[1], number)
      if not value then return whole end
      local held = extent(value, node[2], horizons[number], NEVER)
      whole = node[2] + min(held, node[3])
      if held < node[3] then return min(whole, depth) end
    end
  end
  return min(whole, depth)
end

local found = {}
local function take(number, blocks, stamp, reach)
  if blocks > 0 and stamp <= cuts[number] then
    local whole = intact(number, blocks)
    if reach == blocks then reach = whole end
    blocks = whole
  end
  reach = max(reach, blocks)
  if reach > 0 and whole(number, MOST) then
    if not sound_live(lives[number]) then error('unsound') end
    found[#found + 1] = {sub(lives[number], 13), blocks, reach, number}
  end
end

-- Reading the places where holders end. `top` is the last segment where there may be one that was not seen.
local seen, known, values, fresh, top = {}, 0, {}, {}, deepest
local function gather(segment)
  local nodes = nodes_of(segment)
  for place = #nodes, 1, -1 do
    local node = nodes[place]
    local fields = node[4] or call('HRANDFIELD', node[1], max(SAMPLED - known, 2), 'WITHVALUES')
    for at = 1, #fields, 2 do
      local number = fields[at]
      if number ~= 'v' and not seen[number] then
        seen[number], values[number] = node, fields[at + 1]
        known = known + 1
        fresh[#fresh + 1] = number
      end
    end
  end
  if top == segment and nodes[1] and nodes[1][4] then top = segment - 1 end
end

-- What the holders that were seen hold; `unsure` are those that have nothing alive there.
local unsure, reaches, unmet = {}, {}, {}
for at = 2, #names do unmet[#unmet + 1] = names[at] or nil end
local function judge()
  local numbers = fresh
  fresh = {}
  for _, number in ipairs(numbers) do unmet[#unmet + 1] = number end
  meet(unmet)
  unmet = {}
  for _, number in ipairs(numbers) do
    if lives[number] then
      local start, common = seen[number][2], seen[number][3]
      local held, stamp, reach = extent(values[number], start, horizons[number], now)
      reach = reach > 0 and start + min(reach, common) or 0
      if held > 0 then
        take(number, start + min(held, common), stamp + max(0, held - common), reach)
      elseif start == 0 then
        take(number, 0, 0, reach)
      else
        unsure[#unsure + 1], reaches[number] = number, reach
      end
    end
  end
end

local segment, reads = deepest, 0
while true do
  gather(segment)
  reads = reads + 1
  local last = segment == 0 or reads == READS or size(0) <= known
  local enough = reads < PLACES and DEEPEST or ENOUGH
  if last or known >= enough then judge() end
  if last or #found + #unsure >= enough then break end
  local less, step, more = segment, 1, segment - 1
  while size(more) <= known do
    less, more, step = more, max(0, more - step), step * 2
  end
  while less - more > 1 do
    local mid = floor((less + more) / 2)
    if size(mid) > known then more = mid else less = mid end
  end
  if top == segment - 1 then top = more end
  segment = more
end

local wanted, ask = {}, {}
for at = 2, #names do
  local number = names[at]
  if number then
    wanted[number] = true
    if not seen[number] and size(0) > known then ask[#ask + 1] = number end
  end
end
-- How deep each of `numbers` has the chain in `segment`: as in `extent`, pending counts if it expires after `after`.
-- `got` are their values in its first node, if it was asked.
local depths, stamps, ahead = {}, {}, {}
local function settle(segment, numbers, got, after)
  local place, at = 1, segment * S
  while #numbers > 0 and at < total do
    local answers = not got and call('HMGET', key_of(at), unpack(numbers))
    local here, values = {}, {}
    for index, number in ipairs(numbers) do
      local value = answers and answers[index] or got and got[number]
      if value then here[#here + 1], values[#values + 1] = number, value end
    end
    local node = #here > 0 and next_node(segment, place)
    if not node then return end
    numbers, got = {}, nil
    for index, number in ipairs(here) do
      local held, stamp, reach = extent(values[index], at, horizons[number], after)
      if reach > 0 then
        depths[number], ahead[number] = at + min(reach, node[3]), reach > held
        stamps[number] = stamp + max(0, held - node[3])
        if reach >= node[3] then numbers[#numbers + 1] = number end
      end
    end
    place, at = place + 1, at + node[3]
    if at == segment * S + S then return end
  end
end

local probes = PROBES
local function locate(numbers, top, first, after)
  local spans = {{0, top, numbers}}
  while #spans > 0 do
    local span = table.remove(spans)
    local low, high, here, got = span[1], span[2], span[3], span[4]
    if low >= high or probes <= 0 then
      settle(low, here, got, after)
    else
      probes = probes - 1
      local mid = first or ceil((low + high) / 2)
      local there, before, values = {}, {}, {}
      for at, value in ipairs(call('HMGET', key_of(mid * S), unpack(here))) do
        local number, reach, _ = here[at], 0, nil
        if value then _, _, reach = extent(value, mid * S, horizons[number], after) end
        if reach > 0 then
          there[#there + 1], values[number] = number, value
        else
          before[#before + 1] = number
        end
      end
      if #there > 0 then spans[#spans + 1] = {mid, high, there, values} end
      if #before > 0 then spans[#spans + 1] = {low, mid - 1, before, got} end
    end
    first = nil
  end
end

local function search(numbers, top, first)
  local some, reached, pending = {}, {}, {}
  for _, number in ipairs(numbers) do
    if lives[number] then some[#some + 1] = number end
  end
  if #some == 0 then return end
  locate(some, top, first, now)
  for _, number in ipairs(some) do
    reached[number] = max(depths[number] or 0, reaches[number] or 0)
    if ahead[number] then
      pending[#pending + 1] = number
      depths[number] = nil
    end
  end
  if #pending > 0 then locate(pending, top, nil, NEVER) end
  for _, number in ipairs(some) do take(number, depths[number] or 0, stamps[number] or 0, reached[number]) end
end
search(ask, top, top == segment and top or nil)
search(unsure, deepest)

-- The deepest first. They were mostly found so.
for place = 2, #found do
  local each, at = found[place], place - 1
  while at > 0 and (found[at][3] < each[3] or (found[at][3] == each[3] and found[at][2] < each[2])) do
    found[at + 1] = found[at]
    at = at - 1
  end
  found[at + 1] = each
end
local holders = {}
for place, each in ipairs(found) do
  if each[3] > 0 and (place <= DEEPEST or wanted[each[4]]) then
    holders[#holders + 1] = {each[1], each[2], each[3], tonumber(each[4])}
  end
end
return cmsgpack.pack({epoch or '', holders})
